// A button that copies a text and says that it did.
import { html, useEffect, useState } from '../ui.js';

/**
 * The clipboard API exists on secure origins only; selecting works everywhere.
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'offscreen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** @param {{text: string, what: string}} props  `what` completes "Copy …" for a screen reader */
export function CopyButton({ text, what }) {
  const [answer, setAnswer] = useState('');
  useEffect(() => {
    if (!answer) return;
    const timer = setTimeout(() => setAnswer(''), 1_600);
    return () => clearTimeout(timer);
  }, [answer]);
  const act = async () => setAnswer((await copy(text)) ? 'Copied' : 'Select it');
  return html`
    <button type="button" class="button small copy" onClick=${act}>
      <span aria-live="polite">${answer || 'Copy'}</span>
      <span class="offscreen">${' '}${what}</span>
    </button>`;
}
