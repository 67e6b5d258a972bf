// The one door to the vendored interface libraries: views import from here only.
import { h } from './vendor/preact.js';
import htm from './vendor/htm.js';

export { render } from './vendor/preact.js';
export { useEffect, useLayoutEffect, useRef, useState } from './vendor/preact-hooks.js';
export { batch, computed, effect, signal } from './vendor/signals.js';

/** Builds elements from a tagged template; values are inserted as text, never as markup. */
export const html = htm.bind(h);

/** @template T @typedef {import('./vendor/signals.js').Signal<T>} Signal */
