// Text with `code` in backticks, as error texts and models write it; always inserted as text.
import { html } from '../ui.js';

/** @param {{text: string}} props */
export function Inline({ text }) {
  const parts = text.split(/`([^`\n]+)`/);
  // Every second part stood between backticks.
  return parts.map((part, index) => (index % 2 ? html`<code key=${index}>${part}</code>` : part));
}
