// The first room: what is listening, which models work, and what to try next.
import { counted, duration } from '../format.js';
import { NEW } from '../router.js';
import { listening, refreshFacts, status } from '../store.js';
import { html } from '../ui.js';
import { Commands } from './commands.js';
import { Models } from './models.js';
import { Loading, Trouble } from './notice.js';

/** @param {{title: string, value: any}} props */
function Fact({ title, value }) {
  return html`<div class="fact"><dt>${title}</dt><dd>${value}</dd></div>`;
}

/** Numbers of the status answer, as far as the server gives them. */
function Facts() {
  const now = /** @type {any} */ (status.value.value);
  if (!now) return null;
  const store = typeof now.store === 'string' ? now.store : (now.store?.engine ?? now.store?.kind);
  const contexts = now.contexts ?? now.sessions ?? now.store?.contexts;
  return html`
    <dl class="facts">
      ${
        now.uptime_seconds !== undefined &&
        html`
        <${Fact} title="Running for" value=${duration(now.uptime_seconds)} />`
      }
      ${
        typeof contexts === 'number' &&
        html`
        <${Fact} title="Remembers" value=${counted(contexts, 'conversation')} />`
      }
      ${store && html`<${Fact} title="Store" value=${store} />`}
    </dl>`;
}

function ListeningTable() {
  return html`
    <div class="table-scroll" tabindex="0" role="region" aria-label="Listening addresses">
      <table id="listening">
        <thead><tr>
          <th scope="col">Address</th><th scope="col">Speaks</th><th scope="col">Reachable from</th>
          <th scope="col">TLS</th><th scope="col">Sign-in</th>
        </tr></thead>
        <tbody>
          ${listening.value.map(
            (one) => html`
            <tr key=${one.address}>
              <th scope="row" data-label="Address"><code>${one.address}</code></th>
              <td data-label="Speaks">${
                one.protocols.length === 0
                  ? 'not told'
                  : html`
                <ul class="tags">${one.protocols.map((name) => html`<li key=${name}>${name}</li>`)}
                  </ul>`
              }</td>
              <td data-label="Reachable from">${one.reach}</td>
              <td data-label="TLS">${one.tls}</td>
              <td data-label="Sign-in">${one.auth}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function Listening() {
  const { value, error } = status.value;
  return html`
    <section class="card" aria-labelledby="listening-title">
      <div class="card-head"><h2 id="listening-title">What is listening</h2></div>
      ${
        error &&
        html`<${Trouble} error=${error} title="The status could not be read"
        retry=${refreshFacts} />`
      }
      ${!value && !error && html`<${Loading} />`}
      ${value && listening.value.length > 0 && html`<${ListeningTable} />`}
      ${
        value &&
        listening.value.length === 0 &&
        html`
        <p>The server answers here, at <code>${location.host}
          </code>, and does not say where else.</p>`
      }
      ${
        value &&
        html`<p
        class="hint">One port takes every protocol: the first bytes of a connection decide.</p>`
      }
    </section>`;
}

/** The room itself. */
export function Overview() {
  return html`
    <div class="hero">
      <div>
        <h1>One port that remembers conversations</h1>
        <p class="lead">HTTP, raw TCP and WebSocket all share the same conversations.</p>
      </div>
      <${Facts} />
      <a class="button primary" href=${NEW}>Start a conversation</a>
    </div>
    <div class="columns">
      <div class="column">
        <${Listening} />
        <${Models} />
      </div>
      <div class="column"><${Commands} /></div>
    </div>`;
}
