// Reads Server-Sent Events from a response body, however the network cuts them.

/** One event: its name and its parsed JSON (or the text when it is not JSON).
 * @typedef {{event: string, data: any}} StreamEvent */

/** Collects the lines of one event; a blank line ends it.
 * @param {string[]} lines
 * @returns {StreamEvent | null} null for comments and empty events */
export function readEvent(lines) {
  let event = 'message';
  const data = [];
  for (const line of lines) {
    if (line.startsWith(':')) continue;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
  }
  if (data.length === 0) return null;
  const text = data.join('\n');
  try {
    return { event, data: JSON.parse(text) };
  } catch {
    return { event, data: text };
  }
}

/** Yields the events of a stream as they arrive.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<StreamEvent>} */
export async function* readEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  /** @type {string[]} */
  let lines = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const line = part.endsWith('\r') ? part.slice(0, -1) : part;
        if (line !== '') {
          lines.push(line);
          continue;
        }
        const event = readEvent(lines);
        lines = [];
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
