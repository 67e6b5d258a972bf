// Checks of the chat: streaming, stopping, failing, retrying, reloading.
import assert from 'node:assert/strict';
import { picture } from './browser.mjs';
import { looks, PROBE } from './rooms.mjs';

/** @typedef {import('./rooms.mjs').Scene} Scene */

/** Starts a new conversation, with the model that is slow and fails on request when `scripted`.
 * @param {Scene} scene @param {boolean} scripted
 */
async function begin({ page, server }, scripted) {
  await page.goto(`${server.url}/#/new`);
  await page.getByRole('heading', { name: 'Say something' }).waitFor();
  if (scripted && server.model) await page.getByLabel('Model').selectOption(server.model);
}

/** @param {import('playwright-core').Page} page @param {string} text */
async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
}

/**
 * The last message of the model, once it is stored.
 * @param {import('playwright-core').Page} page
 */
const lastAnswer = (page) =>
  page.locator('.message.from-assistant:not([data-status=streaming])').last();

/** Sending, streaming, reloading. @param {Scene} scene */
export async function chat(scene) {
  const { page, scheme, report, server } = scene;
  await report.check(`${scheme}: the offline model streams its answer`, async () => {
    await begin(scene, false);
    await picture(page, `chat-new-${scheme}`);
    const stream = page.waitForResponse((response) => response.url().endsWith('/turns'));
    await say(page, `Good morning ${scheme}`);
    assert.match((await stream).headers()['content-type'] ?? '', /text\/event-stream/);
    await lastAnswer(page).getByText(`Good morning ${scheme}`).waitFor();
  });
  await report.check(`${scheme}: Shift+Enter breaks the line and Enter sends`, async () => {
    const field = page.getByLabel('Message', { exact: true });
    await field.fill('first line');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('second line');
    assert.equal(await field.inputValue(), 'first line\nsecond line');
    await page.keyboard.press('Enter');
    await page.locator('.from-user', { hasText: 'second line' }).waitFor();
    await lastAnswer(page).getByText('second line').waitFor();
  });
  await report.check(`${scheme}: a message with markup stays text`, async () => {
    await say(page, PROBE);
    await page.locator('.from-user', { hasText: PROBE }).waitFor();
    await lastAnswer(page).getByText('onerror').waitFor();
    assert.equal(await page.evaluate(() => /** @type {any} */ (globalThis).probed), undefined);
    assert.equal(await page.locator('#app img').count(), 0);
  });
  await looks(scene, 'chat');
  await report.check(`${scheme}: a reload continues the conversation`, async () => {
    const before = await page.locator('.message').count();
    // The bare room, as a bookmark has it: the id comes from what the browser keeps.
    await page.goto(`${server.url}/#/chat`);
    await page.reload();
    await page.locator('.from-user', { hasText: `Good morning ${scheme}` }).waitFor();
    assert.equal(await page.locator('.message').count(), before);
    const kept = await page.evaluate(() => Object.keys(localStorage).sort().join());
    assert.match(kept, /^rapport\.last_context(,rapport\.theme)?$/);
  });
  await report.check(`${scheme}: the conversation appears in the list and opens`, async () => {
    await page.goto(`${server.url}/#/conversations`);
    await page.locator('.conversation', { hasText: `Good morning ${scheme}` }).click();
    await page
      .locator('.message', { hasText: `Good morning ${scheme}` })
      .first()
      .waitFor();
    await page.getByRole('link', { name: 'Continue in chat' }).click();
    await page.getByLabel('Message', { exact: true }).waitFor();
    await page.locator('.from-user', { hasText: `Good morning ${scheme}` }).waitFor();
  });
}

/** Stopping, failing and retrying. @param {Scene} scene */
export async function trouble(scene) {
  const { page, scheme, report } = scene;
  await report.check(`${scheme}: a running answer can be stopped`, async () => {
    await begin(scene, true);
    await say(page, `Count slowly ${scheme}`);
    await page.locator('[data-status=streaming]', { hasText: 'word5' }).waitFor();
    await picture(page, `chat-streaming-${scheme}`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('You stopped this answer').waitFor();
    await page.getByRole('button', { name: 'Send' }).waitFor();
    // The server stopped asking the model, instead of letting it finish for nobody.
    await page.locator('.from-user[data-status=stopped]').waitFor();
    assert.equal(await page.getByText('word399').count(), 0);
    await page.getByRole('button', { name: 'Ask again' }).waitFor();
    await picture(page, `chat-stopped-${scheme}`);
  });
  await report.check(`${scheme}: Escape stops, too, and the next turn works`, async () => {
    await begin(scene, true);
    await say(page, `Count slowly again ${scheme}`);
    await page.locator('[data-status=streaming]', { hasText: 'word3' }).waitFor();
    await page.getByLabel('Message', { exact: true }).press('Escape');
    await page.getByText('You stopped this answer').waitFor();
    await say(page, `And now quickly ${scheme}`);
    await lastAnswer(page).getByText(`And now quickly ${scheme}`).waitFor();
  });
  await report.check(`${scheme}: a failed turn says why and can be retried`, async () => {
    await begin(scene, true);
    await say(page, `please fail ${scheme}`);
    const notice = page.locator('.trouble');
    await notice.getByRole('button', { name: 'Retry' }).waitFor();
    await page.locator('.from-user[data-status=failed]').waitFor();
    await picture(page, `chat-failed-${scheme}`);
    await notice.getByRole('button', { name: 'Retry' }).click();
    await lastAnswer(page).getByText(`please fail ${scheme}`).waitFor();
    await notice.waitFor({ state: 'detached' });
    assert.equal(await page.locator('.from-user').count(), 1);
  });
}

/** Sign-in, the theme, and a server that goes away.
 * @param {Scene} scene @param {import('./server.mjs').Server & {key: string}} locked
 */
export async function doors(scene, locked) {
  const { page, scheme, report, complaints } = scene;
  await report.check(`${scheme}: a server with keys asks for one`, async () => {
    await page.goto(`${locked.url}/`);
    await page.getByRole('heading', { name: 'This server asks for a key' }).waitFor();
  });
  await looks(scene, 'sign-in');
  await report.check(`${scheme}: a wrong key is refused with a reason`, async () => {
    await page.getByLabel('API key').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The key of this tab was not accepted').waitFor();
  });
  await report.check(`${scheme}: the right key opens, in this tab only`, async () => {
    await page.getByLabel('API key').fill(locked.key);
    await page.keyboard.press('Enter');
    await page.locator('#listening').waitFor();
    const kept = await page.evaluate(() => JSON.stringify(localStorage));
    assert.ok(!kept.includes(locked.key), 'the key is in localStorage');
    await page.reload();
    await page.locator('#listening').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'This server asks for a key' }).waitFor();
  });
  await report.check(`${scheme}: the theme can be chosen and is kept`, async () => {
    const button = page.getByRole('button', { name: /^Theme/ });
    await button.click();
    await button.click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await button.click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), undefined);
  });
  await report.check(`${scheme}: a server that goes away is told`, async () => {
    await locked.stop();
    await page.locator('.down').waitFor({ timeout: 15_000 });
    await page.locator('.pulse', { hasText: 'Not answering' }).waitFor();
    await picture(page, `down-${scheme}`);
  });
  // The browser itself reports every 401 and every refused connection provoked here.
  const provoked = /Failed to load resource/;
  complaints.splice(0, complaints.length, ...complaints.filter((line) => !provoked.test(line)));
}
