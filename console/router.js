// The rooms of the console as fragments of the address: `#/`, `#/new`, `#/chat[/ID]`,
// `#/conversations[/ID]`.
import { signal } from './ui.js';

/** `fresh` asks for a new conversation; `#/new` is its own room, because an id may be any word.
 * @typedef {{room: 'overview' | 'chat' | 'conversations', id: string | null, fresh: boolean}}
 *   Route
 */

/** @param {string} hash @returns {Route} */
export function readRoute(hash) {
  const [room, id] = hash.replace(/^#\/?/, '').split('/');
  if (room === 'new') return { room: 'chat', id: null, fresh: true };
  const known = room === 'chat' || room === 'conversations' ? room : 'overview';
  let decoded = null;
  try {
    decoded = id ? decodeURIComponent(id) : null;
  } catch {
    // A half-written escape in a typed address is no conversation.
  }
  return { room: known, id: known === 'overview' ? null : decoded, fresh: false };
}

/** @param {Route['room']} room @param {string | null} [id] */
export function href(room, id) {
  const base = room === 'overview' ? '#/' : `#/${room}`;
  return id ? `${base}/${encodeURIComponent(id)}` : base;
}

export const route = signal(readRoute(location.hash));

addEventListener('hashchange', () => {
  route.value = readRoute(location.hash);
});

/** Where a new conversation begins. */
export const NEW = '#/new';

/** Goes to a room. @param {Route['room']} room @param {string | null} [id] */
export function go(room, id) {
  location.hash = href(room, id);
}

/**
 * Renames the current address without a new history entry.
 * @param {Route['room']} room
 * @param {string} id
 */
export function settle(room, id) {
  history.replaceState(null, '', href(room, id));
  route.value = { room, id, fresh: false };
}
