// Where a message is written: Enter sends, Shift+Enter breaks the line, Escape or the button stops.
import { context, phase, send } from '../conversation.js';
import { html, useEffect, useRef, useState } from '../ui.js';

/** @param {{onStop: () => void}} props */
export function Composer({ onStop }) {
  const [text, setText] = useState('');
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const busy = phase.value === 'waiting' || phase.value === 'streaming';
  const closed = context.value?.status === 'closed';
  const wasBusy = useRef(false);
  useEffect(() => {
    // The stop button goes away under the finger; the next thing to do is to write.
    if (wasBusy.current && !busy && document.activeElement === document.body)
      field.current?.focus();
    wasBusy.current = busy;
  }, [busy]);
  const submit = () => {
    if (text.trim() === '' || busy || closed) return;
    setText('');
    void send(text);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Escape' && busy) onStop();
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  if (closed) {
    return html`<p class="composer closed" role="status">This conversation is closed: it can be
      read, not continued.</p>`;
  }
  return html`
    <form class="composer" onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      submit();
    }}>
      <label class="offscreen" for="message">Message</label>
      <textarea id="message" ref=${field} rows=${Math.min(8, text.split('\n').length)} value=${text}
        placeholder="Write a message" aria-describedby="keys" onKeyDown=${onKeyDown}
        onInput=${(/** @type {any} */ event) => setText(event.currentTarget.value)}></textarea>
      ${
        busy
          ? html`<button type="button" class="button stop" onClick=${onStop}>
            <span class="stop-icon" aria-hidden="true"></span>Stop</button>`
          : html`<button type="submit" class="button primary"
            disabled=${text.trim() === ''}>Send</button>`
      }
      <p class="fine" id="keys">Enter sends, Shift+Enter starts a new line, Escape stops an
        answer.</p>
      <p class="offscreen" role="status">${busy ? 'The model is answering' : ''}</p>
    </form>`;
}
