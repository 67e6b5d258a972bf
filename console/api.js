// Talks to the HTTP API: one function per route, every failure as an ApiError.
import { apiKey, signInNeeded } from './session.js';
import { readEvents } from './sse.js';

/** The path below which the server answers; more than `/` when it stands behind a base path. */
export const BASE = new URL('..', import.meta.url).pathname;

/** @typedef {import('./shapes.js').Context} Context */
/** @typedef {import('./shapes.js').Message} Message */
/** @typedef {import('./shapes.js').Problem} Problem */

/** A call that did not succeed, with what the server said about it. */
export class ApiError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.error || problem.detail || problem.title || 'the call failed');
    this.name = 'ApiError';
    this.status = problem.status ?? 0;
    this.code = problem.code ?? '';
    this.hint = problem.hint ?? '';
    this.requestId = problem.request_id ?? '';
  }
}

/** Wraps anything thrown, so that views deal with one kind of error.
 * @param {unknown} thrown
 * @returns {ApiError} */
export function asApiError(thrown) {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError({
    error: thrown instanceof Error ? thrown.message : String(thrown),
    code: 'console_fault',
  });
}

/** @param {unknown} thrown */
export function isAbort(thrown) {
  return thrown instanceof DOMException && thrown.name === 'AbortError';
}

/** A fresh Idempotency-Key. `crypto.randomUUID` exists on secure origins only. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @typedef {{body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} CallOptions
 */

/** @param {Response} response @returns {Promise<ApiError>} */
async function readProblem(response) {
  /** @type {Problem} */
  let problem = {};
  try {
    const body = await response.json();
    if (body && typeof body === 'object') problem = body;
  } catch {
    // Not JSON: status and request id still say something.
  }
  const text = `the server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError({
    ...problem,
    error: problem.error || problem.detail || text,
    status: response.status,
    request_id: problem.request_id || response.headers.get('x-request-id') || '',
  });
}

/** Sends one request and returns the response when it succeeded.
 * @param {string} method @param {string} path @param {CallOptions} [options]
 * @returns {Promise<Response>} */
async function send(method, path, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json', ...options.headers };
  const key = apiKey.value;
  if (key) headers.authorization = `Bearer ${key}`;
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  /** @type {Response} */
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, body, signal: options.signal });
  } catch (thrown) {
    if (isAbort(thrown)) throw thrown;
    throw new ApiError({
      error: `${location.host} does not answer`,
      code: 'unreachable',
      hint: 'start the server with `rapport serve`; `rapport doctor` says what is in the way',
    });
  }
  if (response.ok) return response;
  const error = await readProblem(response);
  // A key that was replaced while this call was under way says nothing about the new one.
  if (response.status === 401 && key === apiKey.value) {
    signInNeeded.value = { error: error.message, hint: error.hint, request_id: error.requestId };
  }
  throw error;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
async function call(method, path, options) {
  const response = await send(method, path, options);
  return response.json();
}

/** @param {Record<string, string | number | null | undefined>} values */
function query(values) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : '';
}

/** @param {string} id */
const at = (id) => `api/v1/contexts/${encodeURIComponent(id)}`;

/** `GET /health`; 503 is an answer too. @returns {Promise<import('./shapes.js').Health>} */
export async function health() {
  const response = await fetch(`${BASE}health`, { headers: { accept: 'application/json' } });
  return response.json();
}

/** @returns {Promise<import('./shapes.js').Status>} */
export const status = () => call('GET', 'api/v1/status');

/** @returns {Promise<{models: import('./shapes.js').Model[], default: string | null}>} */
export const models = () => call('GET', 'api/v1/models');

/** @returns {Promise<{providers: import('./shapes.js').Provider[]}>} */
export const providers = () => call('GET', 'api/v1/providers');

/**
 * @typedef {{limit: number, cursor?: string | null, title?: string, status?: string}} ListFilter
 */

/** @param {ListFilter} filter @param {AbortSignal} [signal]
 * @returns {Promise<{contexts: Context[], next_cursor: string | null}>} */
export const listContexts = (filter, signal) =>
  call('GET', `api/v1/contexts${query({ ...filter, sort: 'updated', order: 'desc' })}`, {
    signal,
  });

/** @param {{title?: string, settings?: Record<string, any>}} body @returns {Promise<Context>} */
export const createContext = (body) =>
  call('POST', 'api/v1/contexts', { body, headers: { 'idempotency-key': freshKey() } });

/** @param {string} id @returns {Promise<Context>} */
export const getContext = (id) => call('GET', at(id));

/** @param {string} id @param {Record<string, any>} body @returns {Promise<Context>} */
export const patchContext = (id, body) => call('PATCH', at(id), { body });

/** @param {string} id @returns {Promise<Context>} */
export const closeContext = (id) => call('POST', `${at(id)}/close`, { body: {} });

/**
 * Stops the running turn on the server; hanging up alone lets it finish.
 * @param {string} id
 * @returns {Promise<{cancelled: boolean}>}
 */
export const cancelTurn = (id) => call('POST', `${at(id)}/turns/cancel`, { body: {} });

/** @param {string} id @returns {Promise<{message: string}>} */
export const deleteContext = (id) => call('DELETE', at(id));

/** The newest messages first on the wire, oldest first in the result.
 * @param {string} id @param {{limit: number, before?: number | null}} page
 * @returns {Promise<{messages: Message[], more: boolean}>} */
export async function listMessages(id, page) {
  const search = query({ limit: page.limit, before: page.before, order: 'desc' });
  const body = await call('GET', `${at(id)}/messages${search}`);
  /** @type {Message[]} */
  const messages = [...(body.messages ?? [])].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  return { messages, more: body.next_cursor !== null && body.next_cursor !== undefined };
}

/** Runs a turn and yields its events; ends after `done` or `error`, throws when the stream was cut.
 * @param {string} id @param {{path: 'turns' | 'turns/retry', body: object, key: string}} turn
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import('./sse.js').StreamEvent>} */
export async function* streamTurn(id, turn, signal) {
  const response = await send('POST', `${at(id)}/${turn.path}`, {
    body: { ...turn.body, stream: true },
    headers: { accept: 'text/event-stream', 'idempotency-key': turn.key },
    signal,
  });
  if ((response.headers.get('content-type') ?? '').includes('json')) {
    yield { event: 'done', data: await response.json() };
    return;
  }
  const requestId = response.headers.get('x-request-id') ?? '';
  try {
    for await (const event of response.body ? readEvents(response.body) : []) {
      yield event;
      if (event.event === 'done' || event.event === 'error') return;
    }
  } catch (thrown) {
    // A connection that breaks in mid-stream is a cut stream, too.
    if (isAbort(thrown)) throw thrown;
  }
  throw new ApiError({
    error: 'the answer was cut off before it was complete',
    code: 'stream_cut',
    hint: 'what had arrived is kept; retry to get the whole answer',
    request_id: requestId,
  });
}
