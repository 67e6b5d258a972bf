// Asks for an API key when the server wants one; the key stays in this tab.
import { apiKey, signIn } from '../session.js';
import { html, useEffect, useRef } from '../ui.js';
import { Inline } from './inline.js';

/** @param {{problem: import('../shapes.js').Problem}} props */
export function SignIn({ problem }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const key = field.current?.value.trim();
    if (key) signIn(key);
  };
  const said = [problem.error, problem.hint].filter(Boolean).join('; ');
  return html`
    <section class="card sign-in" aria-labelledby="sign-in-title">
      <h1 id="sign-in-title">This server asks for a key</h1>
      <p>${apiKey.value ? 'The key of this tab was not accepted.' : 'Paste an API key to continue.'}
        ${' '}It is kept in this tab only and forgotten when the tab closes.</p>
      <form onSubmit=${submit}>
        <label for="key">API key</label>
        <div class="row">
          <input id="key" ref=${field} type="password" autocomplete="off"
            spellcheck="false" required
            aria-describedby="key-help key-answer" />
          <button type="submit" class="button primary">Continue</button>
        </div>
      </form>
      <p class="hint" id="key-help">No key yet? Make one on the server:
        ${' '}<code>rapport key create --name me --scopes read,write</code></p>
      <p class="answer" id="key-answer">The server
        said:${' '}<${Inline} text=${said} />
        ${problem.request_id && html`${' '}(request <code>${problem.request_id}</code>)`}</p>
    </section>`;
}
