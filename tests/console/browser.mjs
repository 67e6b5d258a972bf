// Opens Debian's Chromium with an empty profile and watches what a page complains about.
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PICTURES = fileURLToPath(new URL('../../target/console/', import.meta.url));
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** How long one step of a page may take. */
const STEP_MS = 10_000;

/** @typedef {import('playwright-core').Page} Page */

/** One browser with one page.
 * @typedef {object} Window
 * @property {Page} page
 * @property {string[]} complaints  console errors, page errors, refused requests to other hosts
 * @property {() => Promise<void>} close
 */

/** @param {'light' | 'dark'} scheme @returns {Promise<Window>} */
export async function openWindow(scheme) {
  const profile = await mkdtemp(join(tmpdir(), 'rapport-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    colorScheme: scheme,
    viewport: { width: 1280, height: 860 },
  });
  context.setDefaultTimeout(STEP_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  /** @type {string[]} */
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`page error: ${error.stack ?? error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      complaints.push(`console ${message.type()}: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url());
    const local = ['127.0.0.1', 'localhost', '[::1]'].includes(hostname);
    if (!local && protocol !== 'data:') complaints.push(`asks another host: ${request.url()}`);
  });
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { page, complaints, close };
}

/** Saves what the page looks like. @param {Page} page @param {string} name */
export async function picture(page, name) {
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: 'disabled' });
}

/** Fails when axe finds a serious or critical violation. @param {Page} page */
export async function accessible(page) {
  // Evaluated by the debugger, so the page's own policy stays as strict as it is.
  await page.evaluate(await readFile(AXE, 'utf8'));
  const violations = await page.evaluate(async () => {
    const { axe } = /** @type {any} */ (globalThis);
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations
      .filter((/** @type {any} */ one) => ['serious', 'critical'].includes(one.impact))
      .map((/** @type {any} */ one) => {
        const places = one.nodes.map(
          (/** @type {any} */ node) => `${node.target.join(' ')}: ${node.failureSummary}`,
        );
        return `${one.id}: ${one.help}\n  ${places.join('\n  ')}`;
      });
  });
  if (violations.length > 0) throw new Error(violations.join('\n'));
}

/** Fails when the page can be scrolled sideways. @param {Page} page */
export async function fitsSideways(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const inScroller = (/** @type {Element} */ element) =>
      element.parentElement?.closest('pre, .table-scroll, .code') !== null;
    const out = [...document.querySelectorAll('body *')]
      .filter((element) => !inScroller(element) && !element.matches('.offscreen, .offscreen *'))
      .filter((element) => element.getBoundingClientRect().right > width + 1)
      .map((element) => `${element.tagName} .${element.className}`);
    const scrolls = document.documentElement.scrollWidth > width;
    return { scrolls, out: out.slice(0, 5), width };
  });
  if (wide.scrolls || wide.out.length > 0) {
    throw new Error(`wider than ${wide.width}: ${wide.out.join(', ') || 'the page itself'}`);
  }
}
