// One open conversation: its messages, the turn that is running, and how a turn ends.
import * as api from './api.js';
import { titleFrom } from './format.js';
import { settle as settleRoute } from './router.js';
import { rememberContext } from './session.js';
import { batch, signal } from './ui.js';

/** How many messages a page of history holds. */
export const PAGE = 50;
/** How often and how long a turn that runs elsewhere is looked after. */
const OPEN_TURN_POLL_MS = 1_000;
const OPEN_TURN_POLLS_MAX = 120;

/** @typedef {import('./shapes.js').Context} Context */
/** @typedef {import('./shapes.js').Message} Message */
/** @typedef {{text: string, thinking: string, model: string, tools: any[]}} Live */
/** @typedef {{error: api.ApiError, retry: (() => void) | null}} Failure */

/** @type {import('./ui.js').Signal<Context | null>} */
export const context = signal(null);
/** @type {import('./ui.js').Signal<Message[]>} */
export const messages = signal([]);
export const hasEarlier = signal(false);
/** `loading` a conversation, `waiting` for the first word, `streaming`, or `idle`. */
export const phase = signal(/** @type {'idle' | 'loading' | 'waiting' | 'streaming'} */ ('idle'));
/** The answer while it arrives. @type {import('./ui.js').Signal<Live | null>} */
export const live = signal(null);
/** @type {import('./ui.js').Signal<Failure | null>} */
export const failure = signal(null);
/** True after a stop, until the next turn. */
export const stopped = signal(false);
/** The model chosen for a conversation that does not exist yet; empty means the default. */
export const draftModel = signal('');
/** Counts finished changes, so that lists beside the chat know when to ask again. */
export const changes = signal(0);

/** @type {AbortController | null} */
let running = null;
/** The request that stops the running turn. @type {Promise<void> | null} */
let stopping = null;
/** Rises with every opened conversation; late answers of an earlier one are dropped. */
let visit = 0;

/** Stops looking at the current conversation. */
function leave() {
  visit += 1;
  running?.abort();
  running = null;
}

/** Shows an empty conversation that is created with its first message. */
export function startNew() {
  leave();
  batch(() => {
    context.value = null;
    messages.value = [];
    hasEarlier.value = false;
    live.value = null;
    failure.value = null;
    stopped.value = false;
    phase.value = 'idle';
  });
}

/**
 * Opens a stored conversation; true when it is in view.
 * @param {string} id
 * @returns {Promise<boolean>}
 */
export async function open(id) {
  if (context.value?.id === id && running) return true;
  if (context.value?.id !== id) startNew();
  const mine = visit;
  if (context.value === null) phase.value = 'loading';
  failure.value = null;
  try {
    await load(id, mine);
    if (mine === visit) rememberContext(id);
  } catch (thrown) {
    if (mine !== visit) return false;
    const error = api.asApiError(thrown);
    if (error.status === 404) rememberContext(null);
    failure.value = { error, retry: error.status === 404 ? null : () => void open(id) };
  } finally {
    if (mine === visit) phase.value = 'idle';
  }
  if (mine !== visit || failure.value) return false;
  void followOpenTurn(id, mine);
  return true;
}

/** Reads the stored truth of a conversation into view. @param {string} id @param {number} mine */
async function load(id, mine) {
  const [found, page] = await Promise.all([
    api.getContext(id),
    api.listMessages(id, { limit: PAGE }),
  ]);
  if (mine !== visit) return;
  const first = page.messages[0]?.seq ?? null;
  // Pages that were loaded earlier stay; only the part the server just told is replaced.
  const earlier =
    first === null
      ? []
      : messages.value.filter((message) => message.seq !== null && message.seq < first);
  batch(() => {
    context.value = found;
    messages.value = [...earlier, ...page.messages];
    if (earlier.length === 0) hasEarlier.value = page.more;
    live.value = null;
  });
}

/** Loads the page before the oldest message in view. */
export async function loadEarlier() {
  const id = context.value?.id;
  const first = messages.value[0]?.seq;
  if (!id || !first) return;
  const mine = visit;
  try {
    const page = await api.listMessages(id, { limit: PAGE, before: first });
    if (mine !== visit) return;
    batch(() => {
      messages.value = [...page.messages, ...messages.value];
      hasEarlier.value = page.more;
    });
  } catch (thrown) {
    if (mine === visit) failure.value = { error: api.asApiError(thrown), retry: null };
  }
}

/**
 * Asks again while a turn of this conversation runs outside this page.
 * @param {string} id
 * @param {number} mine
 */
async function followOpenTurn(id, mine) {
  for (let polls = 0; polls < OPEN_TURN_POLLS_MAX; polls += 1) {
    const last = messages.value.at(-1);
    if (!context.value?.open_turn && last?.status !== 'pending') return;
    await new Promise((resolve) => setTimeout(resolve, OPEN_TURN_POLL_MS));
    if (mine !== visit || running) return;
    try {
      await load(id, mine);
    } catch {
      return;
    }
  }
}

/** Sends a message and streams the answer. @param {string} text */
export async function send(text) {
  const after = messages.value.findLast((message) => message.seq !== null)?.seq ?? 0;
  await runTurn({ path: 'turns', body: { message: text }, key: api.freshKey(), after });
}

/** Answers the last failed question again. */
export async function retryTurn() {
  await runTurn({ path: 'turns/retry', body: {}, key: api.freshKey(), after: 0 });
}

/** Stops the running answer; what the server keeps of it is shown. */
export function stop() {
  if (!running) return;
  const id = context.value?.id;
  // Somebody who hangs up may come back, so the server would let the model finish.
  stopping = id ? api.cancelTurn(id).then(ignore, ignore) : null;
  running.abort();
}

function ignore() {
  // What became of the turn is read from the server afterwards.
}

/** @param {string} text @returns {Promise<Context>} */
async function create(text) {
  const settings = draftModel.value ? { model: draftModel.value } : undefined;
  const title = titleFrom(text) || undefined;
  const created = await api.createContext({ title, settings });
  rememberContext(created.id);
  return created;
}

/** A turn to run; `after` is the last message that was stored before it.
 * @typedef {{path: 'turns' | 'turns/retry', body: {message?: string}, key: string, after: number}}
 *   TurnCall
 */

/**
 * Shows a question that the server has not stored.
 * @param {TurnCall} turn
 * @param {string} status
 */
function showUnstored(turn, status) {
  const stored = messages.value.filter((message) => message.seq !== null);
  const text = turn.body.message;
  const known = text === undefined || stored.some((message) => (message.seq ?? 0) > turn.after);
  messages.value = known ? stored : [...stored, { role: 'user', content: text, status, seq: null }];
}

/** @param {TurnCall} turn */
async function runTurn(turn) {
  if (running) return;
  const mine = visit;
  const control = new AbortController();
  running = control;
  batch(() => {
    showUnstored(turn, 'pending');
    failure.value = null;
    stopped.value = false;
    phase.value = 'waiting';
    live.value = { text: '', thinking: '', model: '', tools: [] };
  });
  /** @type {api.ApiError | null} */
  let error = null;
  try {
    if (!context.value) {
      const created = await create(turn.body.message ?? '');
      if (mine !== visit) return;
      context.value = created;
      settleRoute('chat', created.id);
    }
    const id = context.value.id;
    for await (const event of api.streamTurn(id, turn, control.signal)) {
      if (mine !== visit) return;
      error = take(event) ?? error;
    }
  } catch (thrown) {
    if (mine !== visit) return;
    if (api.isAbort(thrown)) {
      stopped.value = true;
      await stopping;
    } else error = api.asApiError(thrown);
  } finally {
    if (running === control) running = null;
  }
  await finish(turn, error, mine);
}

/**
 * Adds a piece of a tool's input, which arrives as cut-up JSON.
 * @param {any[]} tools
 * @param {{index: number, json: string}} piece
 */
function withInput(tools, { index, json }) {
  return tools.map((tool) => (tool.index === index ? { ...tool, json: tool.json + json } : tool));
}

/**
 * Takes one event into view.
 * @param {import('./sse.js').StreamEvent} event
 * @returns {api.ApiError | null}
 */
function take({ event, data }) {
  const now = live.value ?? { text: '', thinking: '', model: '', tools: [] };
  if (event === 'start') live.value = { ...now, model: data.model ?? '' };
  if (event === 'delta') live.value = { ...now, text: now.text + (data.text ?? '') };
  if (event === 'thinking') live.value = { ...now, thinking: now.thinking + (data.text ?? '') };
  if (event === 'tool') live.value = { ...now, tools: [...now.tools, { json: '', ...data }] };
  if (event === 'tool_input') live.value = { ...now, tools: withInput(now.tools, data) };
  if (event === 'delta' || event === 'thinking' || event === 'tool') phase.value = 'streaming';
  return event === 'error'
    ? new api.ApiError(typeof data === 'object' ? data : { error: data })
    : null;
}

/** Replaces what was seen with what the server stored, and offers the retry that fits.
 * @param {TurnCall} turn @param {api.ApiError | null} error @param {number} mine */
async function finish(turn, error, mine) {
  const id = context.value?.id;
  try {
    if (id) await load(id, mine);
  } catch {
    // The turn's own error says more than a second one about the reload.
  }
  if (mine !== visit) return;
  batch(() => {
    showUnstored(turn, 'unsent');
    live.value = null;
    phase.value = 'idle';
    changes.value += 1;
    // A stream that was cut after the server had stored the whole answer is no failure.
    const last = messages.value.at(-1);
    const answered = last?.role === 'assistant' && last.status === 'complete';
    if (error && !(answered && error.code === 'stream_cut'))
      failure.value = { error, retry: () => void retryAfter(turn) };
  });
  if (id) void followOpenTurn(id, mine);
}

/** The server kept the question of a failed turn, or never took it: then it is sent again.
 * The same key makes a question that did arrive count once.
 * @param {TurnCall} turn */
async function retryAfter(turn) {
  const status = messages.value.at(-1)?.status;
  if (status === 'failed' || status === 'partial') return retryTurn();
  return runTurn(turn);
}

/** Chooses the model of this conversation. @param {string} name */
export async function chooseModel(name) {
  draftModel.value = name;
  const id = context.value?.id;
  if (!id) return;
  const mine = visit;
  try {
    const changed = await api.patchContext(id, { settings: { model: name || null } });
    if (mine === visit) context.value = changed;
  } catch (thrown) {
    if (mine === visit) failure.value = { error: api.asApiError(thrown), retry: null };
  }
}

/** Lets go of a conversation that was deleted. @param {string} id */
export function forget(id) {
  changes.value += 1;
  if (context.value?.id === id) startNew();
}
