import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

test('importing any module opens nothing, in an empty environment', async () => {
  const source = join(import.meta.dirname, '../src');
  const modules = (await readdir(source)).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  assert.ok(modules.length > 5);
  // stdout and stderr first: the OpenTelemetry API looks at console's methods, which opens those two where they are pipes.
  const script = `
    void [process.stdout, process.stderr];
    const before = process.getActiveResourcesInfo();
    for (const name of ${JSON.stringify(modules)}) await import(${JSON.stringify(`${source}/`)} + name);
    await new Promise((resolve) => setImmediate(resolve));
    console.log(JSON.stringify({ before, after: process.getActiveResourcesInfo() }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env: {} });
  const { before, after } = JSON.parse(stdout) as { before: string[]; after: string[] };
  assert.deepEqual(after.sort(), before.sort());
});
