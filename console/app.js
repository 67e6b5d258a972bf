// Starts the console: draws the frame, chooses the room and starts asking the server.
import { route } from './router.js';
import { apiKey, signInNeeded } from './session.js';
import { pulse, refreshFacts, watchServer } from './store.js';
import { effect, html, render, useEffect, useRef } from './ui.js';
import { Chat } from './views/chat.js';
import { Conversation } from './views/conversation.js';
import { Conversations } from './views/conversations.js';
import { Header } from './views/header.js';
import { Down } from './views/notice.js';
import { Overview } from './views/overview.js';
import { SignIn } from './views/signin.js';

const TITLES = { overview: 'Overview', chat: 'Chat', conversations: 'Conversations' };

function Room() {
  const { room, id } = route.value;
  if (signInNeeded.value) return html`<${SignIn} problem=${signInNeeded.value} />`;
  if (room === 'chat') return html`<${Chat} id=${id} />`;
  if (room === 'conversations' && id) return html`<${Conversation} key=${id} id=${id} />`;
  if (room === 'conversations') return html`<${Conversations} />`;
  return html`<${Overview} />`;
}

function App() {
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const { room, id } = route.value;
  const visits = useRef(0);
  useEffect(() => {
    document.title = `${TITLES[room]} · Rapport`;
    // Somebody who navigates by keyboard or by ear lands in the new room; the first page keeps its
    // focus.
    if (visits.current > 0 && room !== 'chat') main.current?.focus({ preventScroll: true });
    if (visits.current > 0) scrollTo(0, 0);
    visits.current += 1;
  }, [room, room === 'chat' ? null : id]);
  return html`
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to content</a>
    <${Header} room=${room} />
    ${pulse.value.state === 'down' && html`<${Down} />`}
    <main id="main" class=${`room room-${room}`} tabindex="-1" ref=${main}>
      <${Room} key=${apiKey.value ?? ''} />
    </main>`;
}

/**
 * The fragment of the address belongs to the router, so the jump is made by hand.
 * @param {Event} event
 */
function skipToMain(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

const place = document.getElementById('app');
if (place) render(html`<${App} />`, place);
watchServer();

let lastKey = apiKey.value;
effect(() => {
  if (apiKey.value === lastKey) return;
  lastKey = apiKey.value;
  void refreshFacts();
});
