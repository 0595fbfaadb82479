/** Every setting of every process, with every kind of bad value: the process stops before it opens anything and names the variable. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inherited } from '../platform.ts';

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));
const AT_ONCE = 4;

interface Setting {
  name: string;
  badExamples: readonly string[];
}

for (const service of readdirSync(SERVICES).sort()) {
  test(`${service}: a bad value stops the process and names the variable`, async () => {
    const { settings } = (await import(`${SERVICES}${service}/src/config.ts`)) as { settings: Record<string, Setting> };
    const cases = Object.values(settings).flatMap((setting) => setting.badExamples.map((value) => ({ name: setting.name, value })));
    assert.ok(cases.length > 0);
    const main = `${SERVICES}${service}/src/${service === 'standalone' ? 'up' : 'main'}.ts`;
    const wrong: string[] = [];
    const queue = [...cases];
    const worker = async () => {
      for (let next = queue.pop(); next; next = queue.pop()) {
        const { code, stderr } = await run(main, { [next.name]: next.value });
        const line = stderr.split('\n').find((text) => text.includes(next.name) && !text.includes('required'));
        if (code === 0 || code === null || !line)
          wrong.push(`${next.name}=${JSON.stringify(next.value)}: exit ${code}, ${stderr.slice(0, 300)}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    assert.deepEqual(wrong, []);
  });
}

test('a setting of ours that does not exist stops the process', async () => {
  const { code, stderr } = await run(`${SERVICES}standalone/src/up.ts`, { MAILDOOT_HOEM: '/nowhere' });
  assert.notEqual(code, 0);
  assert.match(stderr, /MAILDOOT_HOEM/);
});

function run(main: string, env: Record<string, string>): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main], {
      env: { ...inherited(), ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 20_000,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject).on('close', (code) => resolve({ code, stderr }));
  });
}
