// What this browser keeps: the API key of this tab (sessionStorage), the last conversation and the
// theme (localStorage).
import { signal } from './ui.js';

const KEY = 'rapport.key';
const LAST_CONTEXT = 'rapport.last_context';
const THEME = 'rapport.theme';

/** Storage may be forbidden by the browser; the console then works without memory.
 * @param {() => any} action */
function quietly(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

/** The API key of this tab, or null. It is sent as a bearer token and kept nowhere else. */
export const apiKey = signal(
  /** @type {string | null} */ (quietly(() => sessionStorage.getItem(KEY))),
);

/** Set when the server answered 401: what it said. The sign-in form is shown while it is set. */
export const signInNeeded = signal(/** @type {import('./shapes.js').Problem | null} */ (null));

/** @param {string} key */
export function signIn(key) {
  quietly(() => sessionStorage.setItem(KEY, key));
  apiKey.value = key;
  signInNeeded.value = null;
}

/** Forgets the key of this tab. */
export function signOut() {
  quietly(() => sessionStorage.removeItem(KEY));
  apiKey.value = null;
}

/** @returns {string | null} */
export function lastContext() {
  return quietly(() => localStorage.getItem(LAST_CONTEXT));
}

/** @param {string | null} id */
export function rememberContext(id) {
  quietly(() =>
    id ? localStorage.setItem(LAST_CONTEXT, id) : localStorage.removeItem(LAST_CONTEXT),
  );
}

/** `auto` follows the system. */
export const theme = signal(
  /** @type {'auto' | 'light' | 'dark'} */ (quietly(() => localStorage.getItem(THEME)) ?? 'auto'),
);

/** @param {'auto' | 'light' | 'dark'} next */
export function chooseTheme(next) {
  theme.value = next;
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  quietly(() => localStorage.setItem(THEME, next));
}
