// Asks before something is lost; built on the browser's own modal dialog.
import { html, useEffect, useRef } from '../ui.js';

/** @param {{title: string, confirm: string, danger?: boolean, busy?: boolean,
 *   onConfirm: () => void, onCancel: () => void, children?: any}} props */
export function Confirm({ title, confirm, danger, busy, onConfirm, onCancel, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const cancel = (/** @type {Event} */ event) => {
    event.preventDefault();
    onCancel();
  };
  return html`
    <dialog class="dialog" ref=${dialog} aria-labelledby="dialog-title" onCancel=${cancel}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      <div class="row end">
        <button type="button" class="button" autofocus onClick=${onCancel}>Cancel</button>
        <button type="button" class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${busy}
          onClick=${onConfirm}>${confirm}</button>
      </div>
    </dialog>`;
}
