// What the console knows of the server, kept fresh while somebody looks.
import * as api from './api.js';
import { addresses } from './listening.js';
import { computed, signal } from './ui.js';

/** How often health is asked, and how often the rest. */
const HEALTH_MS = 5_000;
const FACTS_MS = 15_000;

/** @typedef {'asking' | 'ok' | 'degraded' | 'unhealthy' | 'down'} PulseState */
/** @typedef {{state: PulseState, version: string, checks: [string, string][]}} Pulse */

/** @type {import('./ui.js').Signal<Pulse>} */
export const pulse = signal({ state: 'asking', version: '', checks: [] });

/** Something fetched: nothing yet, a value, or why there is none.
 * @template T @typedef {{value: T | null, error: api.ApiError | null}} Fetched */

/** @template T @param {T | null} [value] @returns {import('./ui.js').Signal<Fetched<T>>} */
const unknown = (value = null) => signal({ value, error: null });

/** @type {import('./ui.js').Signal<Fetched<import('./shapes.js').Status>>} */
export const status = unknown();

/**
 * @type {import('./ui.js').Signal<Fetched<{models: import('./shapes.js').Model[], default: string |
 *   null}>>}
 */
export const models = unknown();

/** @type {import('./ui.js').Signal<Fetched<{providers: import('./shapes.js').Provider[]}>>} */
export const providers = unknown();

export const listening = computed(() => addresses(status.value.value));

/**
 * Models a turn can be sent to, each with the name that means it and no other.
 * @returns {(import('./shapes.js').Model & {ask: string})[]}
 */
function readUsable() {
  const list = models.value.value?.models ?? [];
  const alone = (/** @type {string} */ name) => list.filter((one) => one.name === name).length < 2;
  return list
    .filter((one) => one.offline || one.configured)
    .map((one) => ({ ...one, ask: alone(one.name) ? one.name : `${one.provider}/${one.name}` }));
}

export const usableModels = computed(readUsable);

/**
 * Whether a name, bare or as `provider/model`, means a model.
 * @param {string | null | undefined} name
 * @param {import('./shapes.js').Model} model
 */
export function means(name, model) {
  return name === model.name || name === `${model.provider}/${model.name}`;
}

/**
 * @template T
 * @param {import('./ui.js').Signal<Fetched<T>>} target
 * @param {() => Promise<T>} ask
 */
async function refresh(target, ask) {
  try {
    target.value = { value: await ask(), error: null };
  } catch (thrown) {
    // The last known value stays on the screen beside the error.
    target.value = { value: target.value.value, error: api.asApiError(thrown) };
  }
}

export const refreshModels = () => refresh(models, api.models);

/** Asks again for everything the overview shows. */
export function refreshFacts() {
  return Promise.all([
    refresh(status, api.status),
    refreshModels(),
    refresh(providers, api.providers),
  ]);
}

/** @param {any} check  a word, a truth, or `{ok, error}` */
function checkText(check) {
  if (typeof check === 'string') return check;
  const ok = typeof check === 'boolean' ? check : check?.ok;
  return ok ? 'ok' : (check?.error ?? 'not ok');
}

/** @type {Record<string, PulseState>} */
const STATES = { ok: 'ok', degraded: 'degraded', initializing: 'degraded' };

async function refreshPulse() {
  const before = pulse.value.state;
  try {
    const health = await api.health();
    pulse.value = {
      state: STATES[health.status] ?? 'unhealthy',
      version: health.version ?? '',
      checks: Object.entries(health.checks ?? {}).map(([name, check]) => [name, checkText(check)]),
    };
  } catch {
    pulse.value = { ...pulse.value, state: 'down', checks: [] };
  }
  const back = pulse.value.state !== 'down' && (before === 'down' || before === 'asking');
  if (back) await refreshFacts();
}

/** Starts asking; nothing is asked while the page is hidden. */
export function watchServer() {
  const whenSeen = (/** @type {() => void} */ action) => () => {
    if (document.visibilityState === 'visible') action();
  };
  setInterval(whenSeen(refreshPulse), HEALTH_MS);
  setInterval(
    whenSeen(() => pulse.value.state !== 'down' && void refreshFacts()),
    FACTS_MS,
  );
  addEventListener('visibilitychange', whenSeen(refreshPulse));
  void refreshPulse();
}
