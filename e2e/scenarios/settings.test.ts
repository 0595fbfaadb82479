/**
 * Every setting of every process, with every bad value that its kind knows: the process stops before it opens anything and names the
 * variable. All problems are told at once, so each start is given a bad value for every setting.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inherited, platformArgs } from '../platform.ts';

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));

const UP = `${SERVICES}standalone/src/up.ts`;

interface Setting {
  name: string;
  badExamples: readonly string[];
}

for (const service of readdirSync(SERVICES).sort()) {
  test(`${service}: a bad value stops the process and names the variable`, async () => {
    const { settings } = (await import(`${SERVICES}${service}/src/config.ts`)) as { settings: Record<string, Setting> };
    const all = Object.values(settings);
    assert.ok(all.length > 0 && all.every((setting) => setting.badExamples.length > 0));
    const main = service === 'standalone' ? UP : `${SERVICES}${service}/src/main.ts`;
    const wrong: string[] = [];
    for (let round = 0; round < Math.max(...all.map(({ badExamples }) => badExamples.length)); round++) {
      const env = Object.fromEntries(all.map(({ name, badExamples }) => [name, badExamples[round % badExamples.length] as string]));
      const { code, stderr } = await run(main, env);
      const lines = stderr.split('\n').filter((line) => !line.includes('is required'));
      for (const [name, value] of Object.entries(env)) {
        const named = lines.some((line) => new RegExp(`(^|[ :])${name} `).test(line));
        if (code !== 78 || !named) wrong.push(`${name}=${JSON.stringify(value)}: exit ${code}, ${stderr.slice(0, 300)}`);
      }
    }
    assert.deepEqual(wrong, []);
  });
}

test('one bad value among good ones is enough', async () => {
  const { code, stderr } = await run(UP, { HTTP_PORT: '65536' });
  assert.equal(code, 78);
  assert.match(stderr, /HTTP_PORT must be/);
});

test('a setting of ours that does not exist stops the process', async () => {
  const { code, stderr } = await run(UP, { MAILDOOT_HOEM: '/nowhere' });
  assert.equal(code, 78);
  assert.match(stderr, /MAILDOOT_HOEM/);
});

function run(main: string, env: Record<string, string>): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...(main === UP ? platformArgs : [])], {
      env: { ...inherited(), ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 180_000,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject).on('close', (code) => resolve({ code, stderr }));
  });
}
