// Checks of the console's plain functions: event streams cut anywhere, fences, addresses, routes.
import assert from 'node:assert/strict';
import { blocks, pieces } from '../../console/content.js';
import { titleFrom } from '../../console/format.js';
import { addresses, needsKey, reachOf, reachOfAll } from '../../console/listening.js';
import { readEvents } from '../../console/sse.js';

const STREAM =
  ': ping\n\nevent: start\ndata: {"turn":1}\n\r\n' +
  'event: delta\r\ndata: {"text":"zażółć 🙂"}\r\n\r\n' +
  'data: one\ndata: two\n\nevent: done\ndata: {}\n\n';

/** @param {Uint8Array[]} chunks */
async function collect(chunks) {
  const body = new ReadableStream({
    start(control) {
      for (const chunk of chunks) control.enqueue(chunk);
      control.close();
    },
  });
  const events = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}

/** @param {import('./report.mjs').Report} report */
export async function frames(report) {
  await report.check('event streams are read alike wherever they are cut', async () => {
    const bytes = new TextEncoder().encode(STREAM);
    const expected = [
      { event: 'start', data: { turn: 1 } },
      { event: 'delta', data: { text: 'zażółć 🙂' } },
      { event: 'message', data: 'one\ntwo' },
      { event: 'done', data: {} },
    ];
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const found = await collect([bytes.slice(0, cut), bytes.slice(cut)]);
      assert.deepEqual(found, expected, `cut at byte ${cut}`);
    }
    assert.deepEqual(await collect(Array.from(bytes, (byte) => Uint8Array.of(byte))), expected);
    assert.equal((await collect([bytes.slice(0, -1)])).length, 3, 'an unfinished event is none');
  });
  await report.check('content is split into text, code and blocks', () => {
    const found = pieces('before\n```js\nconst a = 1;\n\n```\nafter\n```\nopen end');
    assert.deepEqual(
      found.map(({ kind, text, language }) => [kind, text, language]),
      [
        ['text', 'before', ''],
        ['code', 'const a = 1;\n', 'js'],
        ['text', 'after', ''],
        ['code', 'open end', ''],
      ],
    );
    const shown = blocks([
      { type: 'thinking', thinking: 'hm', signature: 's' },
      { type: 'text', text: 'hello' },
      { type: 'new_kind', x: 1 },
    ]);
    assert.deepEqual(
      shown.map((one) => one.kind),
      ['thinking', 'text', 'other'],
    );
    assert.match(shown[2]?.text ?? '', /"x": 1/);
  });
  await report.check('addresses are read from every shape of the status', () => {
    const list = addresses({
      listeners: ['127.0.0.1:61900', { address: '[::]:61900', tls: true, auth: 'required' }],
      protocols: ['HTTP/1.1'],
    });
    assert.deepEqual(
      list.map((one) => one.tls),
      ['unknown', 'on'],
    );
    assert.equal(reachOfAll(list), 'every network of this machine');
    assert.equal(reachOf('[::1]:61900'), 'this machine only');
    assert.equal(reachOf('192.168.1.7:61900'), 'the network of 192.168.1.7');
    assert.equal(needsKey(list), true);
    assert.equal(needsKey(addresses({ listeners: ['127.0.0.1:1'], auth: 'open' })), false);
  });
  await report.check('titles are short and whole characters', () => {
    assert.equal(titleFrom('  hello\nworld '), 'hello');
    const long = titleFrom('🙂'.repeat(100));
    assert.equal(Array.from(long).length, 60);
    assert.ok(!long.includes('\ufffd'));
  });
}
