// Turns numbers and times of the API into words people read.

const numbers = new Intl.NumberFormat('en');
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const absolute = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' });

/** @param {number | null | undefined} value */
export function count(value) {
  return value === null || value === undefined ? 'unknown' : numbers.format(value);
}

/** @param {number | null | undefined} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value === null || value === undefined) return 'unknown';
  if (value < 1024) return `${numbers.format(value)} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KB`;
  return `${(value / 1024 / 1024).toFixed(1)} MB`;
}

/** @param {number | null | undefined} value  a share between 0 and 1 */
export function share(value) {
  if (value === null || value === undefined) return 'unknown';
  if (value > 0 && value < 0.001) return 'under 0.1 %';
  return `${(value * 100).toFixed(1)} %`;
}

/**
 * The largest whole unit of a length of time: `3 min`.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return 'unknown';
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400)
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return counted(Math.floor(seconds / 86400), 'day');
}

/** `5 minutes ago`. @param {string | null | undefined} time */
export function ago(time) {
  const then = time ? Date.parse(time) : NaN;
  if (Number.isNaN(then)) return 'unknown';
  const seconds = Math.round((then - Date.now()) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 45) return 'just now';
  if (distance < 3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (distance < 86400) return relative.format(Math.round(seconds / 3600), 'hour');
  if (distance < 86400 * 30) return relative.format(Math.round(seconds / 86400), 'day');
  return absolute.format(then);
}

/** @param {string | null | undefined} time */
export function exactly(time) {
  const then = time ? Date.parse(time) : NaN;
  return Number.isNaN(then) ? 'unknown' : absolute.format(then);
}

/**
 * What a conversation is called when it has no title.
 * @param {import('./shapes.js').Context} context
 */
export function nameOf(context) {
  return context.title || `Untitled (${shortId(context.id)})`;
}

/** @param {string} id */
export function shortId(id) {
  return id.length > 14 ? `${id.slice(0, 8)}…` : id;
}

/** A title from the first words of a conversation. @param {string} text */
export function titleFrom(text) {
  const line = text.trim().split('\n')[0]?.trim() ?? '';
  const letters = Array.from(line);
  return letters.length > 60 ? `${letters.slice(0, 59).join('').trimEnd()}…` : line;
}

/** The text of an error that the API gives as a string or as an object. @param {any} error */
export function errorText(error) {
  if (!error) return '';
  if (typeof error === 'string') return error;
  return error.error ?? error.detail ?? error.message ?? JSON.stringify(error);
}

/** Why a stored turn failed, in words. @type {Record<string, string>} */
const FAILURES = {
  overloaded: 'the model had too much to do',
  rate_limited: 'the provider asked to slow down',
  timeout: 'the model took too long',
  unauthorized: 'the provider refused the key',
  upstream_error: 'the provider answered with an error',
  upstream_invalid: 'the provider answered something that could not be read',
  upstream_unavailable: 'the model could not be reached',
};

/** @param {string | null | undefined} code  as the server stores it with the question */
export function failureText(code) {
  if (!code) return '';
  return FAILURES[code] ? `${FAILURES[code]} (\`${code}\`)` : `\`${code}\``;
}

/**
 * Whether a question has no answer because somebody stopped it: no trouble, but a wish.
 * @param {import('./shapes.js').Message} message
 */
export function wasStopped(message) {
  return message.status === 'failed' && message.meta?.failure === 'cancelled';
}
