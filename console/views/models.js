// Which models a turn can go to, which do not work and why, and how to enable the rest.
import { count, errorText } from '../format.js';
import { means, models, providers, refreshFacts } from '../store.js';
import { html } from '../ui.js';
import { Inline } from './inline.js';
import { Empty, Loading, Trouble } from './notice.js';

/** Where a provider's key is read from when the server does not say it itself.
 * @type {Record<string, string>} */
const KEY_VARIABLES = {
  anthropic: 'ANTHROPIC_API_KEY',
  openai: 'OPENAI_API_KEY',
};

/** How a model or provider that is not configured is enabled.
 * @param {string} provider @param {string | null | undefined} hint */
function howToEnable(provider, hint) {
  if (hint) return html`<p class="hint"><${Inline} text=${hint} /></p>`;
  const variable = KEY_VARIABLES[provider.toLowerCase()];
  return html`
    <p class="hint">${
      variable
        ? html`To enable: set <code>${variable}</code> and restart.`
        : html`To enable: configure <code>${provider}
          </code> in <code>rapport.yaml</code> and restart.`
    }</p>`;
}

/** @param {import('../shapes.js').Model} model @returns {[string, string]} */
function stateOf(model) {
  if (model.offline) return ['Works offline', 'good'];
  if (model.configured === false) return ['Not configured', 'idle'];
  if (model.reachable === true) return ['Works', 'good'];
  if (model.reachable === false) return ['Does not answer', 'bad'];
  return ['Configured, not tried yet', 'idle'];
}

/** @param {{model: import('../shapes.js').Model, isDefault: boolean}} props */
function ModelRow({ model, isDefault }) {
  const [label, tone] = stateOf(model);
  const off = !model.offline && model.configured === false;
  return html`
    <li class="model">
      <div class="model-line">
        <span class="model-name">${model.name}</span>
        ${isDefault && html`<span class="tag tag-accent">default</span>`}
        ${model.offline && html`<span class="tag">offline</span>`}
        <span class="model-state"><span class=${`dot dot-${tone}`} aria-hidden="true"></span>
          ${label}</span>
      </div>
      <p class="fine">
        ${model.provider && html`<span>${model.provider}</span>`}
        ${model.dialect && model.dialect !== model.provider && html`<span>${model.dialect}</span>`}
        ${model.window_tokens && html`<span>${count(model.window_tokens)} tokens</span>`}
        ${typeof model.latency_ms === 'number' && html`<span>${count(model.latency_ms)} ms</span>`}
      </p>
      ${
        model.last_error &&
        html`<p class="last-error">
        Last error:${' '}<${Inline} text=${errorText(model.last_error)} />
      </p>`
      }
      ${off && howToEnable(model.provider ?? model.name, model.hint)}
    </li>`;
}

/** Providers no model of the list belongs to: known to the server, not configured yet. */
function MoreProviders() {
  const listed = new Set((models.value.value?.models ?? []).map((model) => model.provider));
  const more = (providers.value.value?.providers ?? []).filter(
    (provider) => provider.configured === false && !listed.has(provider.name),
  );
  if (more.length === 0) return null;
  return html`
    <h3>Ready to be enabled</h3>
    <ul class="models">
      ${more.map(
        (provider) => html`
        <li class="model" key=${provider.name}>
          <div class="model-line"><span class="model-name">${provider.name}</span>
            <span class="model-state"><span class="dot dot-idle" aria-hidden="true">
              </span>Not configured</span></div>
          ${howToEnable(provider.name, provider.hint ?? errorText(provider.last_error))}
        </li>`,
      )}
    </ul>`;
}

/** The card of the overview. */
export function Models() {
  const { value, error } = models.value;
  const list = value?.models ?? [];
  const allOffline =
    list.length > 0 && list.every((model) => model.offline || model.configured === false);
  return html`
    <section class="card" aria-labelledby="models-title">
      <div class="card-head"><h2 id="models-title">Models</h2></div>
      ${
        error &&
        html`<${Trouble} error=${error} title="The models could not be read"
        retry=${refreshFacts} />`
      }
      ${!value && !error && html`<${Loading} />`}
      ${
        allOffline &&
        html`<p>Only the built-in offline models answer now. They follow fixed rules, cost nothing
            and need no network.</p>
          <p class="hint">For a real model set <code>ANTHROPIC_API_KEY</code>
            ${' '}or <code>OPENAI_API_KEY</code> and restart; any other server that speaks OpenAI's
            API goes under <code>providers</code> in <code>rapport.yaml</code>.</p>`
      }
      ${
        value &&
        list.length === 0 &&
        html`<${Empty} title="No model is configured">
        <p>Set <code>ANTHROPIC_API_KEY</code> or <code>OPENAI_API_KEY</code> and restart.</p><//>`
      }
      ${
        list.length > 0 &&
        html`
        <ul class="models">
          ${list.map(
            (model) => html`
            <${ModelRow} key=${`${model.provider}/${model.name}`} model=${model}
              isDefault=${means(value?.default, model)} />`,
          )}
        </ul>`
      }
      <${MoreProviders} />
    </section>`;
}
