import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

// Below this directory, so that the package's own name resolves.
let directory: string;
before(async () => {
  directory = await mkdtemp(join(import.meta.dirname, '.main-'));
  await writeFile(
    join(directory, 'main.ts'),
    `import { defineSettings, integer, secret } from '../../src/config.ts';
     import { runMain } from '../../src/main.ts';
     const settings = defineSettings({
       httpPort: integer('HTTP_PORT', { default: 8080, max: 65535, meaning: 'Where it listens.' }),
       secret: secret('SOME_SECRET', { minLength: 8, meaning: 'Psst.' }),
       metricsPort: integer('METRICS_PORT', { optional: true, meaning: 'Metrics.' }),
     });
     await runMain('example', settings, () => import('./service.ts'));
    `,
  );
  await writeFile(
    join(directory, 'service.ts'),
    `console.log('loaded');
     export async function start(config: { httpPort: number }): Promise<AsyncDisposable> {
       if (config.httpPort === 1) throw new Error('port 1 is taken');
       const timer = setInterval(() => {}, 1000);
       console.log('started', config.httpPort);
       return {
         async [Symbol.asyncDispose]() {
           if (config.httpPort === 3) await new Promise(() => {});
           console.log('stopped');
           if (config.httpPort === 2) throw new Error('it hurt');
         },
       };
     }
    `,
  );
});
after(() => rm(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(env: Record<string, string>): { child: ChildProcess; printed: (text: string) => Promise<void>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(directory, 'main.ts')], { env: { PATH: process.env.PATH ?? '', ...env } });
  let out = '';
  let err = '';
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    for (const one of waiting) if (out.includes(one.text)) one.resolve();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return {
    child,
    printed: (text) => new Promise((resolve) => (out.includes(text) ? resolve() : waiting.push({ text, resolve }))),
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err }))),
  };
}

test('bad settings end the process with one line each, before the service is loaded', async () => {
  const { code, out, err } = await run({ HTTP_PORT: '70000', MAILDOOT_TYPO: 'x' }).ended;
  assert.equal(code, 78);
  assert.equal(out, '');
  assert.deepEqual(err.trimEnd().split('\n'), [
    'example: HTTP_PORT must be a whole number 0–65535, not "70000"',
    'example: SOME_SECRET is required: secret, at least 8 characters. Psst.',
    'example: MAILDOOT_TYPO is not a setting',
  ]);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops the service and ends with 0, whatever it left open`, async () => {
    const { child, printed, ended } = run({ SOME_SECRET: 'long enough', HTTP_PORT: '4' });
    await printed('started 4');
    child.kill(signal);
    assert.deepEqual(await ended, { code: 0, out: 'loaded\nstarted 4\nstopped\n', err: '' });
  });
}

test('a service that can’t start ends with 1 and says why', async () => {
  const { code, err } = await run({ SOME_SECRET: 'long enough', HTTP_PORT: '1' }).ended;
  assert.equal(code, 1);
  assert.match(err, /^example: could not start: Error: port 1 is taken/);
});

test('a service that can’t stop well ends with 1 and says why', async () => {
  const { child, printed, ended } = run({ SOME_SECRET: 'long enough', HTTP_PORT: '2' });
  await printed('started 2');
  child.kill('SIGTERM');
  const { code, err } = await ended;
  assert.equal(code, 1);
  assert.match(err, /did not stop well: Error: it hurt/);
});

test('a second signal ends it at once', async () => {
  const { child, printed, ended } = run({ SOME_SECRET: 'long enough', HTTP_PORT: '3' });
  await printed('started 3');
  child.kill('SIGTERM');
  const impatience = setInterval(() => child.kill('SIGINT'), 50);
  const { code, err } = await ended.finally(() => clearInterval(impatience));
  assert.equal(code, 1);
  assert.match(err, /again, ending at once/);
});

test('metrics are served when a port is set', async () => {
  const { child, printed, ended } = run({ SOME_SECRET: 'long enough', HTTP_PORT: '4', METRICS_PORT: '0' });
  await printed('started 4');
  child.kill('SIGTERM');
  assert.equal((await ended).code, 0);
});
