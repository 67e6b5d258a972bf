// How trouble is shown: what happened, what to do about it, and the id to quote.
import { apiKey } from '../session.js';
import { html } from '../ui.js';
import { Inline } from './inline.js';

/**
 * @param {{error: import('../api.js').ApiError, title?: string, retry?: (() => void) | null,
 *   retryLabel?: string}} props
 */
export function Trouble({ error, title, retry, retryLabel = 'Retry' }) {
  return html`
    <div class="trouble" role="alert">
      <div class="trouble-text">
        ${title && html`<p class="trouble-title">${title}</p>`}
        <p><${Inline} text=${error.message} /></p>
        ${error.hint && html`<p class="hint"><${Inline} text=${error.hint} /></p>`}
        ${
          (error.requestId || error.status > 0) &&
          html`<p class="fine">
          ${error.status > 0 && html`<span>HTTP ${error.status}</span>`}
          ${error.code && html`<code>${error.code}</code>`}
          ${error.requestId && html`<span>request <code>${error.requestId}</code></span>`}
        </p>`
        }
      </div>
      ${retry && html`<button type="button" class="button" onClick=${retry}>${retryLabel}</button>`}
    </div>`;
}

/** Shown on top while the server does not answer at all. */
export function Down() {
  return html`
    <div class="down" role="alert">
      <strong>${location.host} does not answer.</strong>${' '}
      Start the server with <code>rapport serve</code>, or let <code>rapport doctor</code> say what
        is in the
      way. This page continues by itself${apiKey.value ? ' and keeps your key' : ''}.
    </div>`;
}

/** An empty place that says what belongs there. @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** @param {{label?: string}} props */
export function Loading({ label = 'Loading' }) {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>
    ${label}…</p>`;
}
