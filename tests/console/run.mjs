// Drives the console: `node run.mjs PATH_OF_RAPPORT` or `node run.mjs --fake`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openWindow } from './browser.mjs';
import { frames } from './frames.mjs';
import { Report } from './report.mjs';
import { conversations, longOnes, otherAnswers, overview } from './rooms.mjs';
import { startLocked, startServer } from './server.mjs';
import { chat, doors, trouble } from './talk.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** @param {Report} report */
async function types(report) {
  await report.check('the types of the console and its tests hold', async () => {
    const compiler = resolve(HERE, 'node_modules/typescript/bin/tsc');
    const run = promisify(execFile)(process.execPath, [compiler, '-p', HERE]);
    const { stdout } = await run.catch((/** @type {any} */ failed) => failed);
    assert.equal(stdout, '');
  });
}

/** @param {Report} report @param {string | null} binary @param {'light' | 'dark'} scheme */
async function drive(report, binary, scheme) {
  const server = await startServer(binary);
  const { page, complaints, close } = await openWindow(scheme);
  const scene = { page, complaints, server, real: binary !== null, scheme, report };
  try {
    await overview(scene);
    await chat(scene);
    await trouble(scene);
    await conversations(scene);
    await longOnes(scene);
    await otherAnswers(scene);
    const locked = await startLocked(binary);
    await doors(scene, locked).finally(() => locked.stop());
    await report.check(`${scheme}: the browser complained about nothing`, () => {
      assert.deepEqual([...new Set(complaints)].slice(0, 3), []);
    });
  } finally {
    await close();
    await server.stop();
  }
}

const target = process.argv[2];
if (!target) {
  console.error('usage: node run.mjs PATH_OF_RAPPORT | --fake');
  process.exit(2);
}
const binary = target === '--fake' ? null : resolve(target);
const report = new Report();
await types(report);
await frames(report);
for (const scheme of /** @type {const} */ (['light', 'dark'])) {
  await report.check(`${scheme}: the drive came to its end`, () => drive(report, binary, scheme));
}
process.exit(report.close());
