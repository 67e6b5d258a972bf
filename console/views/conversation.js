// One stored conversation: its facts, messages and state; renamed, closed, deleted, continued.
import * as api from '../api.js';
import { ago, bytes, count, exactly, nameOf, share } from '../format.js';
import { go, href } from '../router.js';
import { lastContext, rememberContext } from '../session.js';
import { forget } from '../conversation.js';
import { html, useEffect, useRef, useState } from '../ui.js';
import { CopyButton } from './copy.js';
import { Confirm } from './dialog.js';
import { MessageList } from './messages.js';
import { Loading, Trouble } from './notice.js';

/** How many messages a page of history holds. */
const PAGE = 50;

/** @typedef {import('../shapes.js').Context} Context */
/** @typedef {import('../shapes.js').Message} Message */
/**
 * @typedef {{context: Context | null, messages: Message[], more: boolean, error: api.ApiError |
 *   null}} Opened
 */

/** Loads a conversation and gives the actions on it. @param {string} id */
function useConversation(id) {
  const [opened, setOpened] = useState(
    /** @type {Opened} */ ({
      context: null,
      messages: [],
      more: false,
      error: null,
    }),
  );
  /** @param {() => Promise<Partial<Opened>>} action */
  const attempt = async (action) => {
    try {
      const change = await action();
      setOpened((old) => ({ ...old, error: null, ...change }));
      return true;
    } catch (thrown) {
      setOpened((old) => ({ ...old, error: api.asApiError(thrown) }));
      return false;
    }
  };
  const load = () =>
    attempt(async () => {
      const [context, page] = await Promise.all([
        api.getContext(id),
        api.listMessages(id, { limit: PAGE }),
      ]);
      return { context, messages: page.messages, more: page.more };
    });
  const loadEarlier = () =>
    attempt(async () => {
      const page = await api.listMessages(id, { limit: PAGE, before: opened.messages[0]?.seq });
      return { messages: [...page.messages, ...opened.messages], more: page.more };
    });
  useEffect(() => void load(), [id]);
  return {
    opened,
    load,
    loadEarlier,
    rename: (/** @type {string} */ title) =>
      attempt(async () => ({ context: await api.patchContext(id, { title: title || null }) })),
    close: () => attempt(async () => ({ context: await api.closeContext(id) })),
    remove: () =>
      attempt(async () => {
        await api.deleteContext(id);
        return {};
      }),
  };
}

/**
 * @param {{context: Context, onSave: (title: string) => Promise<boolean>, onCancel: () => void}}
 *   props
 */
function RenameForm({ context, onSave, onCancel }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.select(), []);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void onSave(field.current?.value.trim() ?? '');
  };
  return html`
    <form class="rename row" onSubmit=${submit}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === 'Escape' && onCancel()}>
      <label class="offscreen" for="title">Title</label>
      <input id="title" ref=${field} defaultValue=${context.title ?? ''} autocomplete="off"
        maxlength="200" />
      <button type="submit" class="button primary">Save</button>
      <button type="button" class="button" onClick=${onCancel}>Cancel</button>
    </form>`;
}

/** @param {{context: Context}} props */
function Facts({ context }) {
  const size = context.size ?? {};
  /** @type {[string, any][]} */
  const facts = [
    ['Status', context.open_turn ? `${context.status}, answering now` : context.status],
    ['Revision', count(context.revision)],
    ['Messages', count(size.messages)],
    ['Turns', count(size.turns)],
    ['Tokens', count(size.tokens)],
    ['Of the window', share(size.window_share)],
    ['Size', bytes(size.bytes)],
    ['Model', context.settings?.model ?? 'the default'],
    ['User', context.user ?? 'none'],
    ['Created', html`<time datetime=${context.created_at}>${exactly(context.created_at)}</time>`],
    [
      'Updated',
      html`<time datetime=${context.last_updated} title=${exactly(context.last_updated)}>
      ${ago(context.last_updated)}</time>`,
    ],
    ['Expires', context.expires_at ? exactly(context.expires_at) : 'never'],
  ];
  return html`
    <dl class="facts grid">
      ${facts.map(
        ([name, value]) => html`
        <div class="fact" key=${name}><dt>${name}</dt><dd>${value}</dd></div>`,
      )}
    </dl>
    <p class="fine id-line"><span>id <code>${context.id}</code></span>
      <${CopyButton} text=${context.id} what="the id" /></p>`;
}

/** @param {{title: string, value: any, hint: string}} props */
function Json({ title, value, hint }) {
  const text = JSON.stringify(value ?? {}, null, 2);
  const empty = text === '{}';
  return html`
    <section class="card" aria-label=${title}>
      <div class="card-head"><h2>${title}</h2>${
        !empty &&
        html`<${CopyButton} text=${text}
        what=${title} />`
      }</div>
      ${
        empty
          ? html`<p class="hint">${hint}</p>`
          : html`<pre class="json" tabindex="0" role="region" aria-label=${`${title} as JSON`}>
            ${text}</pre>`
      }
    </section>`;
}

/**
 * @param {{context: Context, busy: boolean, onRename: () => void, onAsk: (what: 'close' | 'delete')
 *   => void}} props
 */
function Actions({ context, busy, onRename, onAsk }) {
  return html`
    <div class="row actions">
      ${
        context.status === 'open' &&
        html`
        <a class="button primary" href=${href('chat', context.id)}>Continue in chat</a>`
      }
      <button type="button" class="button" disabled=${busy} onClick=${onRename}>Rename</button>
      ${
        context.status === 'open' &&
        html`
        <button type="button" class="button" disabled=${busy}
          onClick=${() => onAsk('close')}>Close</button>`
      }
      <button type="button" class="button danger-quiet" disabled=${busy}
        onClick=${() => onAsk('delete')}>Delete</button>
    </div>`;
}

/**
 * @param {{context: Context, what: 'close' | 'delete', busy: boolean, onConfirm: () => void,
 *   onCancel: () => void}} props
 */
function Question({ context, what, busy, onConfirm, onCancel }) {
  const name = nameOf(context);
  return what === 'delete'
    ? html`
      <${Confirm} title="Delete this conversation?" confirm="Delete" danger=${true} busy=${busy}
        onConfirm=${onConfirm} onCancel=${onCancel}>
        <p><strong class="wrap">${name}</strong> with ${count(context.size?.messages)} messages is
          removed
          for every client. This cannot be undone.</p><//>`
    : html`
      <${Confirm} title="Close this conversation?" confirm="Close it" busy=${busy}
        onConfirm=${onConfirm} onCancel=${onCancel}>
        <p><strong class="wrap">${name}</strong> stays readable and takes no new messages.</p><//>`;
}

/** The room itself. @param {{id: string}} props */
export function Conversation({ id }) {
  const { opened, load, loadEarlier, rename, close, remove } = useConversation(id);
  const [renaming, setRenaming] = useState(false);
  const [asking, setAsking] = useState(/** @type {'close' | 'delete' | null} */ (null));
  const [busy, setBusy] = useState(false);
  const { context, messages, more, error } = opened;
  const confirm = async () => {
    const deleting = asking === 'delete';
    setBusy(true);
    const done = await (deleting ? remove() : close());
    setBusy(false);
    setAsking(null);
    if (!done || !deleting) return;
    if (lastContext() === id) rememberContext(null);
    forget(id);
    go('conversations');
  };
  const save = async (/** @type {string} */ title) => {
    const done = await rename(title);
    if (done) setRenaming(false);
    return done;
  };
  const back = html`<p class="back"><a href=${href('conversations')}>All conversations</a></p>`;
  if (!context) {
    return html`${back}<h1>Conversation</h1>
      ${
        error
          ? html`<${Trouble} error=${error} retry=${error.status === 404 ? null : load} />`
          : html`<${Loading} />`
      }`;
  }
  return html`
    ${back}
    <div class="room-head">
      ${
        renaming
          ? html`<${RenameForm} context=${context} onSave=${save}
            onCancel=${() => setRenaming(false)} />`
          : html`<h1 class="wrap">${nameOf(context)}</h1>`
      }
      <${Actions} context=${context} busy=${busy} onRename=${() => setRenaming(true)}
        onAsk=${setAsking} />
    </div>
    ${error && html`<${Trouble} error=${error} />`}
    <div class="columns reading">
      <section class="column card" aria-labelledby="messages-title">
        <div class="card-head"><h2 id="messages-title">Messages</h2></div>
        <${MessageList} messages=${messages} more=${more} onEarlier=${loadEarlier} />
        ${messages.length === 0 && html`<p class="hint">No message yet.</p>`}
      </section>
      <div class="column">
        <section class="card" aria-label="Facts"><${Facts} context=${context} /></section>
        <${Json} title="State" value=${context.state}
          hint="Empty. Clients keep facts here; each change is a merge patch." />
        ${
          context.system &&
          html`
          <section class="card" aria-label="System prompt"><h2>System prompt</h2><p class="pre">
            ${context.system}</p></section>`
        }
        <${Json} title="Settings" value=${context.settings} hint="Empty: the defaults apply." />
        <${Json} title="Metadata" value=${context.metadata}
          hint="Empty. Labels for your own use." />
      </div>
    </div>
    ${
      asking &&
      html`
      <${Question} context=${context} what=${asking} busy=${busy} onConfirm=${confirm}
        onCancel=${() => setAsking(null)} />`
    }`;
}
