import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { type Life, supervise } from './supervise.ts';

/** Lives that a test ends as it likes. */
function lives() {
  const begun: { at: number; end(how: string): void; stopped: boolean }[] = [];
  return {
    begun,
    async start(): Promise<Life> {
      const { promise, resolve } = Promise.withResolvers<string>();
      const life = { at: performance.now(), end: resolve, stopped: false };
      begun.push(life);
      return {
        pid: begun.length,
        ended: promise,
        async stop() {
          life.stopped = true;
          resolve('SIGTERM');
        },
      };
    },
  };
}

const until = (what: string, holds: () => boolean) => waitFor(holds, { what, intervalMs: 1 });

const quick = { firstBackOffMs: 20, longestBackOffMs: 80, steadyAfterMs: 60_000 };

test('what ends is started again, later each time up to a limit, and each time is told', async () => {
  const said: string[] = [];
  let changes = 0;
  const process = lives();
  await using keeper = await supervise({
    ...quick,
    name: 'auth-1',
    start: process.start,
    say: (text) => said.push(text),
    changed: () => changes++,
  });
  assert.equal(keeper.pid, 1);
  const endedAt: number[] = [];
  for (let life = 1; life <= 4; life++) {
    endedAt.push(performance.now());
    process.begun[life - 1]?.end('SIGKILL');
    await until(`life ${life + 1}`, () => process.begun.length === life + 1);
  }
  const waitedMs = endedAt.map((at, index) => (process.begun[index + 1]?.at ?? 0) - at);
  for (const [index, expected] of [20, 40, 80, 80].entries()) assert.ok((waitedMs[index] ?? 0) >= expected - 1, `${waitedMs}`);
  await until('the fifth life is known', () => keeper.pid === 5);
  // Five beginnings and four ends.
  await until('each was made known', () => changes === 9);
  assert.equal(said[1], 'auth-1 started (pid 2)');
  assert.deepEqual(
    said.filter((text) => text.includes('again in')),
    [0.02, 0.04, 0.08, 0.08].map((seconds) => `auth-1 ended (SIGKILL), again in ${seconds} s`),
  );
});

test('a long life forgets the failures before it', async () => {
  const said: string[] = [];
  const process = lives();
  await using keeper = await supervise({
    ...quick,
    steadyAfterMs: 0,
    name: 'x',
    start: process.start,
    say: (text) => said.push(text),
    changed() {},
  });
  for (let life = 1; life <= 3; life++) {
    process.begun[life - 1]?.end('exit 1');
    await until(`life ${life + 1}`, () => keeper.pid === life + 1);
  }
  assert.deepEqual(
    said.filter((text) => text.includes('again in')).map((text) => /in ([\d.]+) s/.exec(text)?.[1]),
    ['0.02', '0.02', '0.02'],
  );
});

test('a start that fails is tried again; the first one is thrown', async () => {
  const process = lives();
  let fails = 1;
  const said: string[] = [];
  const start = async () => {
    if (process.begun.length === 1 && fails-- > 0) throw new Error('no port');
    return process.start();
  };
  await using keeper = await supervise({ ...quick, name: 'kafka', start, say: (text) => said.push(text), changed() {} });
  process.begun[0]?.end('exit 1');
  await until('it lives again', () => keeper.pid === 2);
  assert.ok(said.includes('kafka: no port'));
  assert.ok(said.includes('kafka did not start, again in 0.04 s'), said.join('\n'));

  const broken = () => Promise.reject(new Error('never'));
  await assert.rejects(supervise({ ...quick, name: 'x', start: broken, say() {}, changed() {} }), /never/);
});

test('stopping ends the life, and starts none: not while it waits, and not when a start is under way', async () => {
  const process = lives();
  const alive = await supervise({ ...quick, name: 'x', start: process.start, say() {}, changed() {} });
  await alive[Symbol.asyncDispose]();
  assert.equal(process.begun[0]?.stopped, true);
  assert.equal(process.begun.length, 1);

  const waits = lives();
  const waiting = await supervise({ ...quick, firstBackOffMs: 60_000, name: 'x', start: waits.start, say() {}, changed() {} });
  waits.begun[0]?.end('exit 1');
  await until('it is gone', () => waiting.pid === undefined);
  await waiting[Symbol.asyncDispose]();
  assert.equal(waits.begun.length, 1);

  const slow = lives();
  const gate = Promise.withResolvers<void>();
  let starts = 0;
  const start = async () => {
    if (++starts === 2) await gate.promise;
    return slow.start();
  };
  const starting = await supervise({ ...quick, name: 'x', start, say() {}, changed() {} });
  slow.begun[0]?.end('exit 1');
  await until('the second start is under way', () => starts === 2);
  const stopped = starting[Symbol.asyncDispose]();
  gate.resolve();
  await stopped;
  assert.deepEqual(
    slow.begun.map((life) => life.stopped),
    [false, true],
  );
});
