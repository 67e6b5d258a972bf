// Starts what the console is driven against: the real program on a free port, or the stand-in.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFake } from './fake.mjs';

/** How long a program may take to say where it listens, and to end. */
const START_MS = 20_000;
const STOP_MS = 10_000;

/** A running server. `model` answers slowly and fails on request; empty means the default does.
 * @typedef {{url: string, model: string, stop: () => Promise<void>}} Server
 */

/** What the model server behind the real program plays: a slow answer, one failure, the rest. */
const SCRIPT = {
  rules: [
    {
      name: 'slow',
      when: { message: 'slowly' },
      reply: {
        fragments: Array.from({ length: 400 }, (_, index) => `word${index} `),
        pause_ms: 25,
      },
    },
    {
      name: 'refused once',
      when: { message: 'please fail', nth: 1 },
      reply: { status: 401, error: { message: 'the key of the test is refused' } },
    },
  ],
  default: { text: 'You said: {message}' },
};

/** Starts a program and waits for the address in its first line on standard output.
 * @param {string} binary
 * @param {string[]} args
 * @param {Record<string, string>} [more]  environment on top of a bare one
 * @returns {Promise<{url: string, stop: () => Promise<void>}>}
 */
async function startProgram(binary, args, more = {}) {
  const environment = { PATH: process.env.PATH ?? '', HOME: more.HOME ?? tmpdir(), ...more };
  const child = spawn(binary, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const ended = new Promise((resolve) => child.once('close', resolve));
  const url = await new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`${args[0]} did not say where it listens:\n${output}`)),
      START_MS,
    );
    const read = (/** @type {Buffer} */ chunk) => {
      output = (output + chunk.toString()).slice(-20_000);
      const found = /https?:\/\/(?:\[[^\]]+\]|[\w.-]+):\d+/.exec(output);
      if (!found) return;
      clearTimeout(late);
      resolve(found[0]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', (chunk) => {
      output = (output + chunk.toString()).slice(-20_000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(late);
      reject(new Error(`${args[0]} ended with ${code} before it listened:\n${output}`));
    });
  }).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(late);
  };
  return { url, stop };
}

/** Starts the real program with an empty data folder, and a model server behind it.
 * @param {string} binary
 * @returns {Promise<Server>}
 */
async function startReal(binary) {
  const folder = await mkdtemp(join(tmpdir(), 'rapport-console-'));
  const script = join(folder, 'script.json');
  await writeFile(script, JSON.stringify(SCRIPT));
  const mock = await startProgram(binary, ['mock', '--port', '0', '--script', script]);
  const args = ['serve', '--port', '0', '--data', join(folder, 'data')];
  const keys = {
    HOME: folder,
    ANTHROPIC_API_KEY: 'not-a-real-key',
    ANTHROPIC_BASE_URL: mock.url,
  };
  const server = await startProgram(binary, args, keys).catch(async (error) => {
    await mock.stop();
    throw error;
  });
  const stop = async () => {
    await server.stop();
    await mock.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { url: server.url, model: await findModel(server.url), stop };
}

/** The first model that is not one of the built-in ones. @param {string} url */
async function findModel(url) {
  const response = await fetch(`${url}/api/v1/models`);
  const { models } = await response.json();
  const found = models.find((/** @type {any} */ one) => one.configured && !one.offline);
  if (!found) throw new Error('the server lists no model of the configured provider');
  return found.name;
}

/** Starts a server without sign-in. @param {string | null} binary  null for the stand-in
 * @returns {Promise<Server>}
 */
export async function startServer(binary) {
  return binary ? startReal(binary) : { ...(await startFake()), model: '' };
}

/** Starts a server that asks for a key.
 * @param {string | null} binary
 * @returns {Promise<Server & {key: string}>}
 */
export async function startLocked(binary) {
  if (!binary) {
    const key = 'rk-fake-key';
    return { ...(await startFake({ key })), model: '', key };
  }
  const server = await startReal(binary);
  const response = await fetch(`${server.url}/api/v1/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'console test', scopes: ['read', 'write', 'admin'] }),
  });
  const { secret } = await response.json();
  return { ...server, key: secret };
}
