// The chat room: recent conversations beside, messages in the middle, the composer below.
import * as api from '../api.js';
import {
  changes,
  chooseModel,
  context,
  draftModel,
  failure,
  hasEarlier,
  live,
  loadEarlier,
  messages,
  open,
  phase,
  retryTurn,
  startNew,
  stop,
  stopped,
} from '../conversation.js';
import { ago, failureText, nameOf, wasStopped } from '../format.js';
import { href, NEW, route, settle } from '../router.js';
import { lastContext } from '../session.js';
import { means, models, usableModels } from '../store.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../ui.js';
import { Composer } from './composer.js';
import { Folded, MessageList, Text } from './messages.js';
import { Loading, Trouble } from './notice.js';

/** How many recent conversations stand beside the chat. */
const RECENT = 15;
/** How near to the end, in pixels, counts as reading along. */
const NEAR_END = 80;

function Recent() {
  const [contexts, setContexts] = useState(/** @type {import('../shapes.js').Context[]} */ ([]));
  const current = context.value?.id;
  useEffect(() => {
    const control = new AbortController();
    // The list is a convenience: when it fails, the chat itself shows the trouble.
    api.listContexts({ limit: RECENT }, control.signal).then(
      (page) => setContexts(page.contexts),
      () => {},
    );
    return () => control.abort();
  }, [changes.value, current]);
  return html`
    <nav class="recent" aria-label="Recent conversations">
      <button type="button" class="button wide" onClick=${newChat}>New conversation</button>
      <ul>
        ${contexts.map(
          (one) => html`
          <li key=${one.id}><a href=${href('chat', one.id)}
            aria-current=${one.id === current ? 'page' : undefined}>
            <span class="recent-name">${nameOf(one)}</span>
            <span class="fine">${ago(one.last_updated)}</span></a></li>`,
        )}
      </ul>
      ${
        contexts.length === RECENT &&
        html`<a class="fine"
        href=${href('conversations')}>All conversations</a>`
      }
    </nav>`;
}

function newChat() {
  startNew();
  location.hash = NEW;
  document.getElementById('message')?.focus();
}

function ModelPicker() {
  const list = usableModels.value;
  const fallback = models.value.value?.default;
  const chosen = context.value ? (context.value.settings?.model ?? '') : draftModel.value;
  const selected = list.find((model) => means(chosen, model))?.ask ?? chosen;
  const known = selected === '' || list.some((model) => model.ask === selected);
  return html`
    <label class="picker"><span class="label">Model</span>
      <select value=${selected}
        disabled=${phase.value !== 'idle' || context.value?.status === 'closed'}
        onChange=${(/** @type {any} */ event) => void chooseModel(event.currentTarget.value)}>
        <option value="">${fallback ? `Default (${fallback})` : 'Default'}</option>
        ${list.map(
          (model) => html`
          <option key=${model.ask} value=${model.ask}>
            ${model.ask}${model.offline ? ' (offline)' : ''}</option>`,
        )}
        ${!known && html`<option value=${chosen}>${chosen} (not configured)</option>`}
      </select></label>`;
}

function ChatHead() {
  const now = context.value;
  return html`
    <div class="chat-head">
      <h1 class="wrap">${now ? nameOf(now) : 'New conversation'}</h1>
      <div class="row">
        ${
          now &&
          html`<a class="button quiet"
          href=${href('conversations', now.id)}>Details</a>`
        }
        <button type="button" class="button quiet wide-hidden" onClick=${newChat}>New</button>
        <${ModelPicker} />
      </div>
    </div>`;
}

/** The answer while it arrives; only this part is drawn anew for each piece. */
function LiveAnswer() {
  const now = live.value;
  if (!now) return null;
  return html`
    <li class="message from-assistant" data-status="streaming">
      <p class="message-head"><span class="who">Model</span>${
        now.model &&
        html`<span>${now.model}
        </span>`
      }
        <span class="tag tag-accent">${phase.value === 'waiting' ? 'thinking' : 'answering'}</span>
          </p>
      ${
        now.thinking &&
        html`<${Folded} label="Thinking" text=${now.thinking}
        open=${now.text === ''} />`
      }
      ${now.tools.map(
        (tool, index) => html`
        <${Folded} key=${index} label=${`Asks the tool ${tool.name}`}
          text=${tool.json || JSON.stringify(tool.input ?? {}, null, 2)} />`,
      )}
      <div class="message-body">${
        now.text
          ? html`<${Text} text=${now.text} />`
          : html`<p class="typing"><span></span><span></span><span></span></p>`
      }</div>
    </li>`;
}

/** What stands under the last message: a failure, a stop, or nothing. */
function Ending() {
  if (phase.value !== 'idle') return null;
  const last = messages.value.at(-1);
  const unanswered = last?.status === 'failed' || last?.status === 'partial';
  const again = () => void retryTurn();
  if (failure.value) {
    const { error, retry } = failure.value;
    return html`<${Trouble} title="No answer came back" error=${error} retry=${retry} />`;
  }
  const asked = messages.value.findLast((message) => message.role === 'user');
  if (stopped.value || (unanswered && asked && wasStopped(asked))) {
    const who = stopped.value ? 'You stopped this answer.' : 'This answer was stopped.';
    return html`<div class="stopped row">
      <p role="status">${who}</p>
      ${
        unanswered &&
        html`<button type="button" class="button small" onClick=${again}>Ask again</button>`
      }
    </div>`;
  }
  if (!unanswered) return null;
  const error = new api.ApiError({
    error: failureText(asked?.meta?.failure) || 'the answer did not come to its end',
    hint: 'the question is kept; ask for the answer again',
  });
  const title = 'This question has no whole answer yet';
  return html`<${Trouble} title=${title} error=${error} retry=${again} />`;
}

function Welcome() {
  const model = draftModel.value || models.value.value?.default;
  const found = usableModels.value.find((one) => means(model, one));
  return html`
    <div class="welcome">
      <h2>Say something</h2>
      <p>${
        found?.offline
          ? html`<strong>${found.name}</strong> answers: a built-in offline model that follows fixed
            rules, costs
          nothing and needs no network.`
          : html`${model ? html`<strong>${model}</strong>` : 'The default model'} answers.`
      }
        ${' '}The conversation is kept, and any client of this port can continue it.</p>
    </div>`;
}

/** Keeps the newest words in view while the reader is at the end. */
function useReadingAlong() {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const along = useRef(true);
  const last = messages.value.at(-1)?.seq;
  const text = live.value?.text.length ?? -1;
  useEffect(() => {
    along.current = true;
  }, [context.value?.id, text === 0]);
  useLayoutEffect(() => {
    if (along.current && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [last, text, live.value?.thinking, phase.value, failure.value]);
  useEffect(() => {
    const box = place.current;
    if (!box) return;
    // A keyboard that slides in or a turned screen must not hide the newest words.
    const watch = new ResizeObserver(() => {
      if (along.current) box.scrollTop = box.scrollHeight;
    });
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  const onScroll = () => {
    const box = place.current;
    if (box) along.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
  };
  return { place, onScroll };
}

/** Keeps what is being read in place while earlier messages are put above it.
 * @param {{current: HTMLDivElement | null}} place */
async function earlierInPlace(place) {
  const box = place.current;
  const fromEnd = box ? box.scrollHeight - box.scrollTop : 0;
  await loadEarlier();
  requestAnimationFrame(() => {
    if (box) box.scrollTop = box.scrollHeight - fromEnd;
  });
}

/** Opens what the address asks for: a new conversation, a certain one, or the last one.
 * @param {string | null} id @param {boolean} fresh */
async function enter(id, fresh) {
  if (id) return void open(id);
  const last = fresh ? null : (context.value?.id ?? lastContext());
  if (!last) return startNew();
  if (await open(last)) return settle('chat', last);
  // The last conversation was deleted elsewhere: that is no trouble of somebody who comes to chat.
  if (failure.value?.error.status === 404) startNew();
}

/** The room itself. @param {{id: string | null}} props */
export function Chat({ id }) {
  const { place, onScroll } = useReadingAlong();
  const { fresh } = route.value;
  useEffect(() => {
    void enter(id, fresh);
    document.getElementById('message')?.focus();
  }, [id, fresh]);
  const empty = messages.value.length === 0 && phase.value === 'idle' && !failure.value;
  return html`
    <${Recent} />
    <div class="chat">
      <${ChatHead} />
      <div class="scroll" ref=${place} onScroll=${onScroll} tabindex="0" role="region"
        aria-label="Conversation">
        ${phase.value === 'loading' && html`<${Loading} label="Opening the conversation" />`}
        ${empty && !context.value && html`<${Welcome} />`}
        <${MessageList} messages=${messages.value} more=${hasEarlier.value}
          onEarlier=${() => earlierInPlace(place)} busy=${live.value !== null} reasons=${false}>
          <${LiveAnswer} />
        <//>
        <${Ending} />
      </div>
      <${Composer} onStop=${stop} />
    </div>`;
}
