// Checks of the overview, the list of conversations and one conversation.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { accessible, fitsSideways, picture } from './browser.mjs';

const run = promisify(execFile);
const PYTHON_PACKAGE = fileURLToPath(new URL('../../clients/python/src', import.meta.url));

/** What a group of checks works on.
 * @typedef {object} Scene
 * @property {import('playwright-core').Page} page
 * @property {string[]} complaints
 * @property {import('./server.mjs').Server} server
 * @property {boolean} real  driven against the real program
 * @property {string} scheme
 * @property {import('./report.mjs').Report} report
 */

/** Text that would run if it were ever taken for markup. */
export const PROBE = '<img src=x onerror="globalThis.probed=1"><b>bold</b>';

/** Makes a conversation through the API. @param {Scene} scene @param {object} body */
export async function make({ server }, body) {
  const response = await fetch(`${server.url}/api/v1/contexts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 201, await response.clone().text());
  return response.json();
}

/** @param {import('playwright-core').Page} page */
async function noProbe(page) {
  assert.equal(await page.evaluate(() => /** @type {any} */ (globalThis).probed), undefined);
  assert.equal(await page.locator('#app img').count(), 0);
}

/** The first room. @param {Scene} scene */
export async function overview(scene) {
  const { page, server, scheme, report, real } = scene;
  const { port } = new URL(server.url);
  await report.check(`${scheme}: the page loads under a strict policy`, async () => {
    const response = await page.goto(`${server.url}/`);
    const policy = response?.headers()['content-security-policy'] ?? '';
    assert.match(policy, /script-src 'self'(;|$)/);
    await page.getByRole('heading', { level: 1 }).waitFor();
  });
  await report.check(`${scheme}: the header tells health, version and reach`, async () => {
    await page.locator('.pulse', { hasText: 'Healthy' }).waitFor();
    await page.locator('.pulse', { hasText: /version \d+\.\d+/ }).waitFor();
    await page.locator('.pulse', { hasText: 'this machine only' }).waitFor();
  });
  await report.check(
    `${scheme}: the listening table shows the real port on both loopbacks`,
    async () => {
      await page.locator('#listening', { hasText: `127.0.0.1:${port}` }).waitFor();
      await page.locator('#listening', { hasText: `[::1]:${port}` }).waitFor();
    },
  );
  await report.check(`${scheme}: the offline models work and are labelled`, async () => {
    const demo = page.locator('.model', { hasText: 'demo' }).first();
    await demo.getByText('Works offline').waitFor();
    await demo.locator('.tag', { hasText: 'offline' }).waitFor();
  });
  await report.check(`${scheme}: the commands name this host and port`, async () => {
    for (const name of ['curl', 'nc', 'python']) {
      const text = await page.locator(`[data-command=${name}]`).innerText();
      assert.match(text, new RegExp(`127\\.0\\.0\\.1\\b.*\\b${port}\\b`, 's'), text);
    }
  });
  if (real) {
    await report.check(`${scheme}: the commands run as they are shown`, async () => {
      const shown = (/** @type {string} */ name) =>
        page.locator(`[data-command=${name}]`).innerText();
      for (const name of ['curl', 'nc']) {
        const { stdout } = await run('bash', ['-c', await shown(name)]);
        assert.equal(JSON.parse(stdout).sessionId, 'first-light', `${name}: ${stdout}`);
      }
      const env = { ...process.env, PYTHONPATH: PYTHON_PACKAGE };
      const { stdout } = await run('python3', ['-c', await shown('python')], { env });
      assert.match(stdout, /Hello from Python/);
    });
  }
  await report.check(`${scheme}: copying says that it did`, async () => {
    await page.getByRole('button', { name: 'Copy the curl command' }).click();
    await page.getByRole('button', { name: 'Copied the curl command' }).waitFor();
  });
  await looks(scene, 'overview');
}

/** Accessibility, pictures and the narrow screen of the room in view.
 * @param {Scene} scene @param {string} name
 */
export async function looks({ page, scheme, report }, name) {
  await report.check(`${scheme}: ${name} is accessible`, () => accessible(page));
  await picture(page, `${name}-${scheme}`);
  await report.check(`${scheme}: ${name} fits a screen of 360 px`, async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    try {
      await fitsSideways(page);
      await picture(page, `${name}-${scheme}-narrow`);
    } finally {
      await page.setViewportSize({ width: 1280, height: 860 });
    }
  });
}

/** The list, and everything done to one conversation. @param {Scene} scene */
export async function conversations(scene) {
  const { page, server, scheme, report } = scene;
  const title = `${PROBE} ${scheme}`;
  const made = await make(scene, { title, state: { city: 'Kraków', note: PROBE } });
  await report.check(`${scheme}: a title with markup stays text in the list`, async () => {
    await page.goto(`${server.url}/#/conversations`);
    await page.getByRole('link', { name: title }).waitFor();
    await noProbe(page);
  });
  await looks(scene, 'conversations');
  await report.check(`${scheme}: searching by title narrows the list`, async () => {
    await page.getByLabel('Search by title').fill('no such title anywhere');
    await page.getByText('Nothing matches').waitFor();
    await page.getByLabel('Search by title').fill(scheme);
    await page.getByRole('link', { name: title }).waitFor();
  });
  await report.check(`${scheme}: a conversation opens with state, size and revision`, async () => {
    await page.getByRole('link', { name: title }).click();
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    await page.locator('.json', { hasText: '"city": "Kraków"' }).waitFor();
    await page.locator('.fact', { hasText: 'Revision' }).waitFor();
    assert.match(await page.locator('.id-line code').innerText(), new RegExp(made.id));
    await noProbe(page);
  });
  await looks(scene, 'conversation');
  await report.check(`${scheme}: renaming is kept by the server`, async () => {
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByLabel('Title').fill(`Renamed ${scheme}`);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: `Renamed ${scheme}` }).waitFor();
    await page.reload();
    await page.getByRole('heading', { level: 1, name: `Renamed ${scheme}` }).waitFor();
  });
  await report.check(`${scheme}: closing is asked for and makes it read-only`, async () => {
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Close it' }).click();
    await page.locator('.fact', { hasText: 'closed' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Continue in chat' }).count(), 0);
  });
  await report.check(`${scheme}: deleting asks first, and cancel keeps it`, async () => {
    await page.getByRole('button', { name: 'Delete' }).click();
    await picture(page, `delete-${scheme}`);
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal((await fetch(`${server.url}/api/v1/contexts/${made.id}`)).status, 200);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Conversations' }).waitFor();
    assert.equal((await fetch(`${server.url}/api/v1/contexts/${made.id}`)).status, 404);
  });
}

/** Lists and histories that are longer than a page. @param {Scene} scene */
export async function longOnes(scene) {
  const { page, server, scheme, report } = scene;
  const messages = Array.from({ length: 120 }, (_, index) => ({
    role: index % 2 ? 'assistant' : 'user',
    content: `line ${index + 1} of a long talk`,
  }));
  const made = await make(scene, { title: `Long talk ${scheme}`, messages });
  await report.check(`${scheme}: a long history is loaded 50 messages at a time`, async () => {
    await page.goto(`${server.url}/#/conversations/${made.id}`);
    await page.getByText('line 120 of a long talk').waitFor();
    assert.equal(await page.locator('.message').count(), 50);
    await page.getByRole('button', { name: 'Load earlier messages' }).click();
    await page.getByText('line 21 of a long talk').waitFor();
    await page.getByRole('button', { name: 'Load earlier messages' }).click();
    await page.getByText('line 1 of a long talk').waitFor();
    assert.equal(await page.locator('.message').count(), 120);
    assert.equal(await page.getByRole('button', { name: 'Load earlier messages' }).count(), 0);
  });
  await report.check(`${scheme}: the chat keeps its place when earlier messages come`, async () => {
    await page.goto(`${server.url}/#/chat/${made.id}`);
    await page.getByText('line 120 of a long talk').waitFor();
    const first = page.getByText('line 71 of a long talk');
    await page.getByRole('button', { name: 'Load earlier messages' }).click();
    await page.getByText('line 21 of a long talk').waitFor({ state: 'attached' });
    await first.waitFor();
    await page.waitForFunction(() => {
      const box = document.querySelector('.scroll');
      return box !== null && box.scrollTop > 1_000;
    });
  });
  await report.check(`${scheme}: the list is paged`, async () => {
    const some = Array.from({ length: 30 }, (_, index) => index);
    await Promise.all(some.map((n) => make(scene, { title: `Page filler ${n} ${scheme}` })));
    await page.goto(`${server.url}/#/conversations`);
    await page.getByRole('button', { name: 'Load more' }).waitFor();
    assert.equal(await page.locator('.conversation').count(), 25);
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.locator('.conversation').nth(30).waitFor();
  });
}

/** Answers that the running server does not give now. @param {Scene} scene */
export async function otherAnswers(scene) {
  const { page, server, scheme, report } = scene;
  await report.check(`${scheme}: without a key the models say how to get a real one`, async () => {
    const models = [{ name: 'demo', provider: 'offline', offline: true, configured: true }];
    await page.route('**/api/v1/models', (route) =>
      route.fulfill({ json: { models, default: 'demo' } }),
    );
    await page.goto(`${server.url}/#/`);
    await page.reload();
    await page.getByText('For a real model set ANTHROPIC_API_KEY').waitFor();
    await page.unroute('**/api/v1/models');
  });
  await report.check(`${scheme}: trouble shows error, hint and request id`, async () => {
    const problem = {
      status: 503,
      error: 'the store cannot be read',
      hint: 'look at `rapport doctor`',
      request_id: 'request-7',
    };
    await page.route('**/api/v1/contexts?*', (route) =>
      route.fulfill({ status: 503, json: problem, contentType: 'application/problem+json' }),
    );
    await page.goto(`${server.url}/#/conversations`);
    const trouble = page.locator('.trouble');
    for (const text of [problem.error, 'look at rapport doctor', 'HTTP 503', 'request-7']) {
      await trouble.getByText(text).first().waitFor();
    }
    await accessible(page);
    await page.unroute('**/api/v1/contexts?*');
    await trouble.getByRole('button', { name: 'Retry' }).click();
    await trouble.waitFor({ state: 'detached' });
  });
}
