/** The receiving side has nothing of ours in it: aiosmtpd takes the mail and dkimpy verifies it, with the key it fetches from the record that the API said to publish. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startInternet, verifiedDomain } from '../internet.ts';
import { inherited, startPlatform } from '../platform.ts';

const WITNESS = fileURLToPath(new URL('../witness/receive_and_verify.py', import.meta.url));
const NEEDS = 'import aiosmtpd, dkim, dns.resolver';
const missing = spawnSync('python3', ['-c', NEEDS]).status !== 0;

test('aiosmtpd receives, dkimpy verifies, and a flipped byte fails it', {
  skip: missing ? `this machine lacks: python3 -c '${NEEDS}'` : false,
}, async () => {
  await using dns = await startInternet();
  const witness = spawn('python3', [WITNESS, dns.address], { env: inherited(), stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines = createInterface(witness.stdout)[Symbol.asyncIterator]();
    const { address } = await nextLine<{ address: string }>(lines);
    await using platform = await startPlatform({ env: { DELIVERY: 'smarthost', SMARTHOST: address, DNS_SERVERS: dns.address } });
    await verifiedDomain(platform.call, dns, 'shop.example');
    const sent = await platform.call('POST', '/v1/messages', {
      from: 'Shop <no-reply@shop.example>',
      to: 'user@example.com',
      subject: 'Grüße – “dots”',
      text: 'one\n.\n..two\n  trailing blanks   \n\n\n',
      html: '<p>üñî 📦</p>',
      attachments: [{ filename: 'a.bin', content: Buffer.alloc(3000, 7).toString('base64') }],
    });
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    const { size, ...verdict } = await nextLine<{ size: number }>(lines);
    assert.deepEqual(verdict, { to: ['user@example.com'], dkim: true, dkim_flipped: false, utf8: [] });
    assert.ok(size > 4000);
    const international = await platform.call('POST', '/v1/messages', {
      from: 'Shop <no-reply@shop.example>',
      to: { email: 'jo\u0308rg@BÜCHER.example', name: 'Jörg' },
      cc: '用户@example.com',
      subject: 'Grüße',
      text: 'Hello',
    });
    assert.equal(international.status, 202, JSON.stringify(international.body));
    const got = [await nextLine<{ to: string[] }>(lines), await nextLine<{ to: string[] }>(lines)].sort((a, b) =>
      `${a.to}` < `${b.to}` ? -1 : 1,
    );
    const utf8 = ['SMTPUTF8', 'BODY=8BITMIME', 'To: =?UTF-8?Q?J=C3=B6rg?= <jörg@xn--bcher-kva.example>', 'Cc: 用户@example.com'];
    assert.deepEqual(
      got.map((one) => ({ ...one, size: 0, utf8: (one as unknown as { utf8: string[] }).utf8.toSorted() })),
      ['jörg@xn--bcher-kva.example', '用户@example.com'].map((to) => ({
        ...{ to: [to], size: 0, dkim: true, dkim_flipped: false, utf8: utf8.toSorted() },
      })),
    );
  } finally {
    await ended(witness);
  }
});

async function nextLine<T>(lines: AsyncIterator<string>): Promise<T> {
  const { value, done } = await lines.next();
  assert.ok(!done, 'the witness ended');
  return JSON.parse(value) as T;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
