// The list of conversations: searched by title, newest first, a page at a time.
import * as api from '../api.js';
import { ago, counted, exactly, nameOf } from '../format.js';
import { href, NEW } from '../router.js';
import { html, useEffect, useState } from '../ui.js';
import { Empty, Loading, Trouble } from './notice.js';

/** How many conversations a page holds. */
const PAGE = 25;
/** How long typing rests before it is searched. */
const SEARCH_MS = 200;

/** @typedef {import('../shapes.js').Context} Context */
/**
 * @typedef {{contexts: Context[], next: string | null, error: api.ApiError | null, loading:
 *   boolean}} Listed
 */

/** Keeps the list for a search; typing faster than the server answers drops the older answers.
 * @param {string} title @param {string} status */
function useList(title, status) {
  const [list, setList] = useState(
    /** @type {Listed} */ ({
      contexts: [],
      next: null,
      error: null,
      loading: true,
    }),
  );
  const [round, setRound] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    const ask = async () => {
      try {
        const page = await api.listContexts({ limit: PAGE, title, status }, control.signal);
        setList({ contexts: page.contexts, next: page.next_cursor, error: null, loading: false });
      } catch (thrown) {
        if (api.isAbort(thrown)) return;
        setList((old) => ({ ...old, error: api.asApiError(thrown), loading: false }));
      }
    };
    const timer = setTimeout(ask, title ? SEARCH_MS : 0);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [title, status, round]);
  const more = async () => {
    setList((old) => ({ ...old, loading: true }));
    try {
      const page = await api.listContexts({ limit: PAGE, title, status, cursor: list.next });
      setList((old) => {
        // A conversation that moved while paging must not stand here twice.
        const seen = new Set(old.contexts.map((context) => context.id));
        const added = page.contexts.filter((context) => !seen.has(context.id));
        return {
          contexts: [...old.contexts, ...added],
          next: page.next_cursor,
          error: null,
          loading: false,
        };
      });
    } catch (thrown) {
      setList((old) => ({ ...old, error: api.asApiError(thrown), loading: false }));
    }
  };
  return { list, more, again: () => setRound(round + 1) };
}

/** @param {{context: Context}} props */
function Row({ context }) {
  return html`
    <li>
      <a class="conversation" href=${href('conversations', context.id)}>
        <span class="conversation-name">${nameOf(context)}</span>
        <span class="fine">
          <span>${counted(context.size?.messages, 'message')}</span>
          ${context.settings?.model && html`<span>${context.settings.model}</span>`}
          ${context.user && html`<span>${context.user}</span>`}
          <time datetime=${context.last_updated} title=${exactly(context.last_updated)}>
            ${ago(context.last_updated)}</time>
        </span>
        ${context.status !== 'open' && html`<span class="tag">${context.status}</span>`}
        ${context.open_turn && html`<span class="tag tag-accent">answering</span>`}
      </a>
    </li>`;
}

/** The room itself. */
export function Conversations() {
  const [title, setTitle] = useState('');
  const [status, setStatus] = useState('');
  const { list, more, again } = useList(title.trim(), status);
  const empty = !list.loading && !list.error && list.contexts.length === 0;
  return html`
    <div class="room-head">
      <h1>Conversations</h1>
      <a class="button primary" href=${NEW}>New conversation</a>
    </div>
    <form class="filters" role="search"
      onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label class="grow"><span class="label">Search by title</span>
        <input type="search" value=${title} placeholder="Part of a title"
          onInput=${(/** @type {any} */ event) => setTitle(event.currentTarget.value)} /></label>
      <label><span class="label">Status</span>
        <select value=${status}
          onChange=${(/** @type {any} */ event) => setStatus(event.currentTarget.value)}>
          <option value="">All</option><option value="open">Open</option><option
            value="closed">Closed</option>
        </select></label>
    </form>
    ${
      list.error &&
      html`<${Trouble} error=${list.error} title="The list could not be read"
      retry=${again} />`
    }
    ${
      list.contexts.length > 0 &&
      html`
      <ul class="conversations card flush" aria-label="Conversations">
        ${list.contexts.map((context) => html`<${Row} key=${context.id} context=${context} />`)}
      </ul>`
    }
    ${list.loading && html`<${Loading} />`}
    ${
      empty &&
      (title || status) &&
      html`
      <${Empty} title="Nothing matches"><p>No conversation fits this search. Titles are searched,
        not messages.</p><//>`
    }
    ${
      empty &&
      !title &&
      !status &&
      html`
      <${Empty} title="No conversations yet">
        <p>Every client of this port makes them: a chat here, <code>rapport chat</code>,
          one <code>curl</code> to
          <code>/api/mcp/interact</code>. Each survives restarts and can be continued from any other
            door.</p>
        <p><a href=${NEW}>Start the first one</a> or <a
          href=${href('overview')}>copy a command</a>.</p>
      <//>`
    }
    ${
      list.next &&
      !list.loading &&
      html`
      <p class="more"><button type="button" class="button" onClick=${more}>Load more</button></p>`
    }`;
}
