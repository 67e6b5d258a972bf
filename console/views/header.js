// The top of every room: who answers, how it is, from where it can be reached, and the ways between
// rooms.
import { reachOfAll } from '../listening.js';
import { href } from '../router.js';
import { apiKey, chooseTheme, signOut, theme } from '../session.js';
import { listening, pulse, status } from '../store.js';
import { html } from '../ui.js';

/** @type {['overview' | 'chat' | 'conversations', string][]} */
const ROOMS = [
  ['overview', 'Overview'],
  ['chat', 'Chat'],
  ['conversations', 'Conversations'],
];

const STATES = {
  asking: ['Asking', 'idle'],
  ok: ['Healthy', 'good'],
  degraded: ['Degraded', 'warn'],
  unhealthy: ['Unhealthy', 'bad'],
  down: ['Not answering', 'bad'],
};

/** @type {Record<'auto' | 'light' | 'dark', ['auto' | 'light' | 'dark', string]>} */
const THEMES = { auto: ['light', 'Auto'], light: ['dark', 'Light'], dark: ['auto', 'Dark'] };

function Mark() {
  return html`
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <path class="mark-one" d="M7 9.5h11a3 3 0 0 1 3 3v2a3 3 0 0 1-3 3h-6.5L7 21z" />
      <path class="mark-two"
        d="M25 15.5v10l-4-3h-5.5a3 3 0 0 1-2.7-1.7H18a4.6 4.6 0 0 0 4.6-4.6v-.7z" />
    </svg>`;
}

function Pulse() {
  const { state, version, checks } = pulse.value;
  const [label, tone] = STATES[state] ?? STATES.asking;
  const reach = status.value.value?.reachable_from ?? reachOfAll(listening.value);
  const bad = checks.filter(([, text]) => text !== 'ok');
  const details = checks.map(([name, text]) => `${name}: ${text}`).join('\n');
  return html`
    <p class="pulse" role="status" title=${details}>
      <span class=${`dot dot-${tone}`} aria-hidden="true"></span>
      <span class="pulse-state">${label}</span>
      ${
        (state === 'degraded' || state === 'unhealthy') &&
        bad.length > 0 &&
        html`
        <span>(${bad.map(([name]) => name).join(', ')})</span>`
      }
      ${version && html`<span class="pulse-fact">version ${version}</span>`}
      ${reach && html`<span class="pulse-fact">reachable from ${reach}</span>`}
    </p>`;
}

/** @param {{room: string}} props */
export function Header({ room }) {
  const [next, label] = THEMES[theme.value] ?? THEMES.auto;
  return html`
    <header class="top">
      <a class="brand" href=${href('overview')}><${Mark} /><span>Rapport</span></a>
      <nav class="rooms" aria-label="Rooms">
        ${ROOMS.map(
          ([name, text]) => html`
          <a key=${name} href=${href(name)} aria-current=${room === name ? 'page' : undefined}>
            ${text}</a>`,
        )}
      </nav>
      <${Pulse} />
      <div class="top-actions">
        ${
          apiKey.value &&
          html`
          <button type="button" class="button quiet" onClick=${signOut}>Sign out</button>`
        }
        <button type="button" class="button quiet theme" onClick=${() => chooseTheme(next)}
          aria-label=${`Theme: ${label.toLowerCase()}; change to ${next}`}>
          <span class="theme-icon" aria-hidden="true"></span>${label}
        </button>
      </div>
    </header>`;
}
