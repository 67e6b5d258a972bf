// Commands to try next, with the address of this very server, ready to be copied.
import { BASE } from '../api.js';
import { needsKey } from '../listening.js';
import { href } from '../router.js';
import { listening } from '../store.js';
import { html } from '../ui.js';
import { CopyButton } from './copy.js';

/** The session all examples share, so that each continues the one before. */
const SESSION = 'first-light';

/** Programs of ours look here when they are told nothing else. */
const HOME_PORT = '61900';

/** @param {{hostname: string, port: string, protocol: string}} place  as in `location` */
export function commandsFor({ hostname, port, protocol }, withKey = false) {
  const tls = protocol === 'https:';
  const bare = hostname.replace(/^\[|\]$/g, '');
  const number = port || (tls ? '443' : '80');
  const base = `${protocol}//${hostname}${port ? `:${port}` : ''}${BASE.replace(/\/$/, '')}`;
  const local = ['localhost', '127.0.0.1', '::1'].includes(bare);
  const target = [
    ...(local ? [] : [`--host ${bare}`]),
    ...(number === HOME_PORT ? [] : [`--port ${number}`]),
  ];
  const line = JSON.stringify({ sessionId: SESSION, message: 'And again, over raw TCP' });
  const body = JSON.stringify({ sessionId: SESSION, message: 'Hello, Rapport' });
  const list = [
    {
      id: 'curl',
      title: 'Ask over HTTP',
      text: [
        `curl -s ${base}/api/mcp/interact`,
        ...(withKey ? ['  -H "Authorization: Bearer $RAPPORT_KEY"'] : []),
        "  -H 'Content-Type: application/json'",
        `  -d '${body}'`,
      ].join(' \\\n'),
    },
    {
      id: 'chat',
      title: 'Chat in the terminal',
      text: ['rapport chat', `--context ${SESSION}`, ...target].join(' '),
    },
    {
      id: 'python',
      title: 'Ask from Python',
      text: [
        'import mcp_client',
        '',
        `with mcp_client.connect("${bare}", ${number}) as mcp:`,
        '    answer = mcp.interact(',
        `        "Hello from Python", session_id="${SESSION}"`,
        '    )',
        '    print(answer["response"])',
      ].join('\n'),
    },
  ];
  const raw = {
    id: 'nc',
    title: 'Continue over raw TCP',
    text: `echo '${line}' | nc -w 1 ${bare} ${number}`,
  };
  // nc speaks neither TLS nor carries a key: there it would only show an error.
  if (!tls && !withKey) list.splice(1, 0, raw);
  return list;
}

/** The card of the overview. */
export function Commands() {
  const withKey = needsKey(listening.value);
  return html`
    <section class="card" aria-labelledby="commands-title">
      <div class="card-head"><h2 id="commands-title">Next commands to try</h2></div>
      <p>All of them talk in the session <code>${SESSION}</code>. It then shows up
        ${' '}under <a href=${href('conversations')}>Conversations</a>.</p>
      ${withKey && html`<p class="hint">Put your key in <code>RAPPORT_KEY</code> first.</p>`}
      <ol class="commands">
        ${commandsFor(location, withKey).map(
          ({ id, title, text }) => html`
          <li key=${id}>
            <div class="command-head"><h3>${title}</h3><${CopyButton} text=${text}
              what=${`the ${id} command`} /></div>
            <pre tabindex="0" role="region" aria-label=${title} data-command=${id}><code>${text}
              </code></pre>
          </li>`,
        )}
      </ol>
    </section>`;
}
