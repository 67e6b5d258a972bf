// A small stand-in for the server: serves the console and imitates the API, with faults on request.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONSOLE = fileURLToPath(new URL('../../console/', import.meta.url));
const CSP =
  "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:";
const MEDIA = /** @type {Record<string, string>} */ ({
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
});

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */

/** What one fake server holds; `key` turns sign-in on. @param {{key?: string}} options */
function makeState(options) {
  return {
    key: options.key ?? '',
    port: 0,
    began: Date.now(),
    requests: 0,
    contexts: /** @type {Map<string, any>} */ (new Map()),
  };
}

/** @typedef {ReturnType<typeof makeState>} State */

const now = () => new Date().toISOString().replace('Z', '000+00:00');

/** @param {State} state @param {any} body */
function makeContext(state, body) {
  const id = body.id ?? crypto.randomUUID();
  const context = {
    id,
    title: body.title ?? null,
    user: body.user ?? null,
    status: 'open',
    created_at: now(),
    last_updated: now(),
    revision: 1,
    system: body.system ?? null,
    settings: body.settings ?? {},
    state: body.state ?? {},
    metadata: body.metadata ?? {},
    open_turn: null,
    expires_at: null,
    messages: /** @type {any[]} */ ([]),
  };
  state.contexts.set(id, context);
  return context;
}

/** @param {any} context */
function shown({ messages, ...context }) {
  const bytes = messages.reduce(
    (/** @type {number} */ sum, /** @type {any} */ one) => sum + one.content.length,
    0,
  );
  const turns = messages.filter((/** @type {any} */ one) => one.role === 'assistant').length;
  const tokens = Math.ceil(bytes / 4);
  return {
    ...context,
    size: { messages: messages.length, turns, bytes, tokens, window_share: tokens / 200_000 },
  };
}

/** @param {any} context @param {string} role @param {string} content @param {string} status */
function append(context, role, content, status) {
  const message = {
    seq: context.messages.length + 1,
    role,
    content,
    timestamp: now(),
    status,
    tokens: Math.ceil(content.length / 4),
    model: role === 'assistant' ? (context.settings.model ?? 'demo') : null,
    meta: {},
  };
  context.messages.push(message);
  context.revision += 1;
  context.last_updated = now();
  return message;
}

/** @param {Response} response @param {number} status @param {any} body @param {string} [media] */
function answer(response, status, body, media = 'application/json') {
  response.writeHead(status, { 'content-type': media });
  response.end(JSON.stringify(body));
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} error
 * @param {string} code
 * @param {string} hint
 */
function problem(response, status, error, code, hint) {
  const body = {
    title: error,
    status,
    detail: error,
    error,
    code,
    hint,
    request_id: response.getHeader('x-request-id'),
  };
  answer(response, status, body, 'application/problem+json');
}

/**
 * The pieces of an answer and the pause between them.
 * @param {string} text
 * @returns {{parts: string[], pause: number}}
 */
function script(text) {
  if (text.includes('slowly')) {
    return { parts: Array.from({ length: 400 }, (_, index) => `word${index} `), pause: 25 };
  }
  if (text.includes('code')) {
    const code = 'Like this:\n\n```python\nimport mcp_client\nprint("hello")\n```\n\nThen run it.';
    return { parts: code.match(/.{1,9}/gs) ?? [], pause: 4 };
  }
  return {
    parts: `Acknowledged: '${text}'. How else can I assist you?`.match(/.{1,6}/gs) ?? [],
    pause: 4,
  };
}

/**
 * @param {any} context
 * @param {Response} response
 * @param {string} text  the question that is answered
 */
async function stream(context, response, text) {
  const question = context.messages.findLast((/** @type {any} */ one) => one.role === 'user');
  question.status = 'pending';
  context.open_turn = question.seq;
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  // Whoever hangs up lets the model finish: writing to a closed response is no error.
  const emit = (/** @type {string} */ event, /** @type {any} */ data) =>
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  emit('start', {
    context_id: context.id,
    turn: question.seq,
    model: context.settings.model ?? 'demo',
    provider: 'offline',
  });
  if (text.includes('please fail') && !context.failed) {
    context.failed = true;
    return fail(context, question, 'upstream_unavailable', emit, response);
  }
  const { parts, pause } = script(text);
  let said = '';
  for (const part of parts) {
    said += part;
    emit('delta', { text: part });
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (context.open_turn === null) {
      append(context, 'assistant', said, 'partial');
      return fail(context, question, 'cancelled', emit, response);
    }
  }
  question.status = 'complete';
  context.open_turn = null;
  const message = append(context, 'assistant', said, 'complete');
  emit('done', {
    context_id: context.id,
    text: said,
    message,
    model: 'demo',
    offline: true,
    stop_reason: 'end_turn',
  });
  response.end();
}

/**
 * Ends a turn without an answer; the question is kept and says why.
 * @param {any} context
 * @param {any} question
 * @param {string} code
 * @param {(event: string, data: any) => void} emit
 * @param {Response} response
 */
function fail(context, question, code, emit, response) {
  question.status = 'failed';
  question.meta = { failure: code };
  context.open_turn = null;
  emit('error', {
    status: 503,
    error: 'the model `demo` could not be reached',
    code,
    hint: 'the question is kept; retry it',
    request_id: response.getHeader('x-request-id'),
  });
  response.end();
}

/** @param {State} state @param {URLSearchParams} query */
function list(state, query) {
  const title = (query.get('title') ?? '').toLowerCase();
  const limit = Number(query.get('limit') ?? 50);
  const from = Number(query.get('cursor') ?? 0);
  const found = [...state.contexts.values()]
    .filter((one) => (one.title ?? '').toLowerCase().includes(title))
    .filter((one) => !query.get('status') || one.status === query.get('status'))
    .sort((a, b) => b.last_updated.localeCompare(a.last_updated));
  const next = from + limit < found.length ? String(from + limit) : null;
  return { contexts: found.slice(from, from + limit).map(shown), next_cursor: next };
}

/** @param {any} context @param {URLSearchParams} query */
function page(context, query) {
  const limit = Number(query.get('limit') ?? 50);
  const before = Number(query.get('before') ?? Infinity);
  const found = context.messages.filter((/** @type {any} */ one) => one.seq < before);
  if (query.get('order') === 'desc') found.reverse();
  const messages = found.slice(0, limit);
  return { messages, next_cursor: found.length > limit ? String(messages.at(-1).seq) : null };
}

/** @param {State} state */
function status(state) {
  const protocols = ['http/1.1', 'h2c', 'websocket', 'json-lines', 'mcp/1.0'];
  const listen = [`127.0.0.1:${state.port}`, `[::1]:${state.port}`].map((address) => ({
    address,
    url: `http://${address}`,
    tls: 'off',
    protocols,
  }));
  return {
    status: 'running',
    version: '0.1.0',
    uptime_seconds: Math.floor((Date.now() - state.began) / 1000),
    contexts: state.contexts.size,
    store: { kind: 'memory', ok: true, last_error: null },
    listen,
    reachable_from: 'this machine only',
    auth: { mode: 'auto', required: state.key !== '', keys: state.key ? 1 : 0 },
  };
}

const MODELS = [
  {
    name: 'demo',
    provider: 'offline',
    dialect: 'offline',
    offline: true,
    configured: true,
    reachable: true,
    window_tokens: 200_000,
    latency_ms: 0,
    last_error: null,
  },
  {
    name: 'echo',
    provider: 'offline',
    dialect: 'offline',
    offline: true,
    configured: true,
    reachable: true,
    window_tokens: 200_000,
    latency_ms: 0,
    last_error: null,
  },
  {
    name: 'claude-sonnet',
    provider: 'anthropic',
    dialect: 'anthropic',
    offline: false,
    configured: false,
    reachable: null,
    window_tokens: 200_000,
    latency_ms: null,
    last_error: null,
  },
  {
    name: 'llama',
    provider: 'local',
    dialect: 'openai_chat',
    offline: false,
    configured: true,
    reachable: false,
    window_tokens: 8_192,
    latency_ms: null,
    last_error: 'connection refused at 127.0.0.1:11434',
  },
];
const PROVIDERS = [
  { name: 'offline', configured: true },
  { name: 'anthropic', configured: false },
  { name: 'openai', configured: false },
];

/** @param {State} state @param {Response} response @param {string} method @param {any} call */
function contextRoute(state, response, method, { id, rest, query, body }) {
  const context = state.contexts.get(id);
  if (!context) {
    return problem(
      response,
      404,
      'Context not found',
      'context_not_found',
      'list the contexts with GET /api/v1/contexts',
    );
  }
  const route = `${method} ${rest}`;
  if (route === 'GET ') return answer(response, 200, shown(context));
  if (route === 'GET messages') return answer(response, 200, page(context, query));
  if (route === 'DELETE ') {
    state.contexts.delete(id);
    return answer(response, 200, { message: `Context '${id}' deleted` });
  }
  if (route === 'PATCH ') {
    const settings = { ...context.settings, ...body.settings };
    Object.assign(context, body, { settings, revision: context.revision + 1 });
    return answer(response, 200, shown(context));
  }
  if (route === 'POST close') {
    context.status = 'closed';
    return answer(response, 200, shown(context));
  }
  if (route === 'POST turns') {
    append(context, 'user', body.message, 'pending');
    return void stream(context, response, body.message);
  }
  if (route === 'POST turns/cancel') {
    const cancelled = context.open_turn !== null;
    context.open_turn = null;
    return answer(response, 200, { cancelled });
  }
  if (route === 'POST turns/retry') {
    const failed = context.messages.findLast((/** @type {any} */ one) => one.status === 'failed');
    return void stream(context, response, failed.content);
  }
  return problem(response, 404, 'Not found', 'not_found', 'see /docs');
}

/** @param {State} state @param {Request} request @param {Response} response @param {URL} url */
async function api(state, request, response, url) {
  const method = request.method ?? 'GET';
  let text = '';
  for await (const chunk of request) text += chunk;
  const body = text ? JSON.parse(text) : {};
  const route = `${method} ${url.pathname}`;
  if (route === 'GET /health') {
    return answer(response, 200, {
      status: 'ok',
      checks: { store: { ok: true }, provider: { ok: true } },
      version: '0.1.0',
    });
  }
  if (state.key && request.headers.authorization !== `Bearer ${state.key}`) {
    return problem(
      response,
      401,
      'no valid API key was sent',
      'unauthorized',
      'send `Authorization: Bearer KEY`',
    );
  }
  if (route === 'GET /api/v1/status') return answer(response, 200, status(state));
  if (route === 'GET /api/v1/models')
    return answer(response, 200, { models: MODELS, default: 'demo' });
  if (route === 'GET /api/v1/providers') return answer(response, 200, { providers: PROVIDERS });
  if (route === 'GET /api/v1/contexts') return answer(response, 200, list(state, url.searchParams));
  if (route === 'POST /api/v1/contexts') {
    const context = makeContext(state, body);
    for (const { role, content } of body.messages ?? []) append(context, role, content, 'complete');
    return answer(response, 201, shown(context));
  }
  const match = /^\/api\/v1\/contexts\/([^/]+)\/?(.*)$/.exec(url.pathname);
  if (!match) return problem(response, 404, 'Not found', 'not_found', 'see /docs');
  const call = {
    id: decodeURIComponent(match[1] ?? ''),
    rest: match[2],
    query: url.searchParams,
    body,
  };
  return contextRoute(state, response, method, call);
}

/** @param {Response} response @param {string} path  inside the console's folder */
async function file(response, path) {
  const clean = normalize(path).replace(/^(\.\.[/\\])+/, '');
  try {
    const bytes = await readFile(join(CONSOLE, clean));
    response.writeHead(200, {
      'content-type': MEDIA[extname(clean)] ?? 'application/octet-stream',
      'content-security-policy': CSP,
      'x-content-type-options': 'nosniff',
    });
    response.end(bytes);
  } catch {
    problem(response, 404, 'Not found', 'not_found', 'see /docs');
  }
}

/** Starts a fake server on a free port of 127.0.0.1. @param {{key?: string}} [options]
 * @returns {Promise<{url: string, stop: () => Promise<void>}>} */
export async function startFake(options = {}) {
  const state = makeState(options);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    state.requests += 1;
    response.setHeader('x-request-id', `fake-${state.requests}`);
    if (url.pathname === '/') return void file(response, 'index.html');
    if (url.pathname.startsWith('/console/'))
      return void file(response, url.pathname.slice('/console/'.length));
    return void api(state, request, response, url);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  state.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port;
  return {
    url: `http://127.0.0.1:${state.port}`,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
