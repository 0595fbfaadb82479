/** `make demo` ends with what the receiving side has, and fails when events no longer leave the outbox. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { inherited, platformArgs, startPlatform, temporaryHome } from '../platform.ts';

const DEMO = fileURLToPath(new URL('../../services/standalone/src/demo.ts', import.meta.url));

test('the demo shows the way to the receiving side; with the outbox switched off it fails and says so', async () => {
  const home = await temporaryHome();
  try {
    const good = await demo(home);
    assert.equal(good.code, 0, good.output);
    assert.match(good.output, /\n {2}202 .*"status":"queued".* in [\d.]+ ms\n/);
    // What is logged while the platform stops may stand behind it.
    const said = good.output
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('{'));
    assert.match(said.at(-1) ?? '', /inbox .*\d+ bytes, dkim=pass \(shop\.example\)/);

    // From here on every row that messaging writes into its outbox vanishes; all else stays as it is.
    await swallowOutbox(join(home, 'demo'));
    const bad = await demo(home);
    assert.notEqual(bad.code, 0, bad.output);
    assert.match(bad.output, /not delivered within/);
    assert.doesNotMatch(bad.output, /dkim=pass/);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

function demo(home: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [DEMO, ...platformArgs], {
      env: { ...inherited(), MAILDOOT_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject).on('close', (code) => resolve({ code, output }));
  });
}

async function swallowOutbox(home: string): Promise<void> {
  await using platform = await startPlatform({ home });
  const client = new pg.Client(await platform.databaseUrl());
  await client.connect();
  try {
    await client.query(`
      CREATE FUNCTION messaging.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER swallow BEFORE INSERT ON messaging.outbox FOR EACH ROW EXECUTE FUNCTION messaging.swallow();`);
  } finally {
    await client.end();
  }
}
