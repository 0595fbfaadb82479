// A bad value stops the process naming the variable; importing the service opens nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { settings } from '../src/config.ts';
import { start } from '../src/service.ts';

const good: Record<string, string> = {
  DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
  RPC_SECRET: 'x'.repeat(32),
  SEAL_KEYS: `k1:${Buffer.alloc(32).toString('base64')}`,
  AUTH_ADDRESS: '127.0.0.1:3',
  MESSAGING_ADDRESS: '127.0.0.1:1',
  DOMAIN_ADDRESS: '127.0.0.1:2',
};

it('every bad value of every setting is refused by name', () => {
  assert.ok(loadSettings(settings, good));
  for (const setting of Object.values(settings)) {
    assert.ok(setting.badExamples.length > 0 || setting.type === 'text', setting.name);
    for (const bad of setting.badExamples) {
      assert.throws(
        () => loadSettings(settings, { ...good, [setting.name]: bad }),
        (error) => error instanceof SettingsError && error.problems.some((problem) => problem.name === setting.name),
        `${setting.name}=${bad}`,
      );
    }
  }
});

it('DELIVERY=smarthost wants a SMARTHOST', async () => {
  await assert.rejects(start(loadSettings(settings, { ...good, DELIVERY: 'smarthost' })), (error) => {
    assert.ok(error instanceof SettingsError);
    assert.deepEqual(
      error.problems.map((problem) => problem.name),
      ['SMARTHOST'],
    );
    return true;
  });
});

it('importing the service with an empty environment opens nothing', () => {
  const script = `await import(${JSON.stringify(new URL('../src/service.ts', import.meta.url).href)}); console.log(JSON.stringify(process.getActiveResourcesInfo()));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env: {}, encoding: 'utf8' });
  const resources = (JSON.parse(output.trim()) as string[]).filter((name) => !/^(?:Pipe|TTY|File|FSReqCallback|CloseReq)/.test(name));
  assert.deepEqual(resources, []);
});
