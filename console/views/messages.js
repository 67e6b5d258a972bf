// Draws messages; what people and models wrote is always inserted as text.
import { blocks, pieces } from '../content.js';
import { ago, count, exactly, failureText, wasStopped } from '../format.js';
import { html, useState } from '../ui.js';
import { CopyButton } from './copy.js';
import { Inline } from './inline.js';

/** @typedef {import('../shapes.js').Message} Message */

/** @type {Record<string, string>} */
const WHO = { user: 'You', assistant: 'Model', system: 'System', tool: 'Tool' };

/** @type {Record<string, string>} */
const MARKS = {
  pending: 'waiting for an answer',
  failed: 'not answered',
  partial: 'cut off',
  stopped: 'stopped',
  unsent: 'not sent',
};

/** @param {{text: string}} props */
export function Text({ text }) {
  return pieces(text).map((piece, index) =>
    piece.kind === 'text'
      ? html`<p class="pre" key=${index}><${Inline} text=${piece.text} /></p>`
      : html`
      <div class="code" key=${index}>
        <div class="code-head"><span>${piece.language || 'code'}</span>
          <${CopyButton} text=${piece.text} what="this code" /></div>
        <pre tabindex="0" role="region" aria-label=${`Code ${piece.language}`}><code>${piece.text}
          </code></pre>
      </div>`,
  );
}

/** @param {{label: string, text: string, open?: boolean}} props */
export function Folded({ label, text, open }) {
  return html`
    <details class="folded" open=${open}>
      <summary>${label}</summary>
      <pre tabindex="0" role="region" aria-label=${label}>${text}</pre>
    </details>`;
}

/** @param {{content: any}} props */
function Content({ content }) {
  return blocks(content).map((block, index) =>
    block.kind === 'text'
      ? html`<${Text} key=${index} text=${block.text} />`
      : html`<${Folded} key=${index} label=${block.label} text=${block.text} />`,
  );
}

/**
 * One message; `calm` while its answer is seen to arrive.
 * @param {{message: Message, calm?: boolean, reasons?: boolean}} props
 */
export function MessageItem({ message, calm, reasons }) {
  const status = wasStopped(message) ? 'stopped' : (message.status ?? 'complete');
  const mark = calm && status === 'pending' ? '' : MARKS[status];
  const reason = !reasons || status === 'stopped' ? '' : failureText(message.meta?.failure);
  return html`
    <li class=${`message from-${message.role}`} data-status=${status}>
      <p class="message-head">
        <span class="who">${WHO[message.role] ?? message.role}</span>
        ${message.model && html`<span>${message.model}</span>`}
        ${
          message.timestamp &&
          html`
          <time datetime=${message.timestamp} title=${exactly(message.timestamp)}>
            ${ago(message.timestamp)}</time>`
        }
        ${typeof message.tokens === 'number' && html`<span>${count(message.tokens)} tokens</span>`}
        ${mark && html`<span class="tag tag-warn">${mark}</span>`}
      </p>
      <div class="message-body"><${Content} content=${message.content} /></div>
      ${reason && html`<p class="last-error"><${Inline} text=${reason} /></p>`}
    </li>`;
}

/** A page of messages with the way to earlier ones.
 * @param {{messages: Message[], more: boolean, onEarlier: () => Promise<any>, children?: any,
 *   busy?: boolean, reasons?: boolean}} props
 */
export function MessageList({ messages, more, onEarlier, children, busy, reasons = true }) {
  const [loading, setLoading] = useState(false);
  const earlier = async () => {
    setLoading(true);
    await onEarlier();
    setLoading(false);
  };
  return html`
    ${
      more &&
      html`
      <p class="more"><button type="button" class="button" disabled=${loading} onClick=${earlier}>
        ${loading ? 'Loading…' : 'Load earlier messages'}</button></p>`
    }
    <div role="log" aria-label="Messages" aria-busy=${busy ? 'true' : 'false'}>
      <ol class="messages">
        ${messages.map(
          (message) => html`
            <${MessageItem} key=${message.seq ?? 'unstored'} message=${message} calm=${busy}
              reasons=${reasons} />`,
        )}
        ${children}
      </ol>
    </div>`;
}
