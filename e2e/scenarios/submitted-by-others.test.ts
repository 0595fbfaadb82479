/**
 * swaks (Perl) and Python's smtplib submit over both ports, and trust no certificate but the platform's: attachments arrive with their
 * SHA-256, read by Python's email package, blind copies are nobody's to see, and what isn't ours to change arrives byte for byte.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { waitFor } from '@maildoot/testkit/wait';
import { inherited, type Platform, startPlatform } from '../platform.ts';

const run = promisify(execFile);
const lacks = (command: string, ...args: string[]) => spawnSync(command, args).status !== 0;
const noSwaks = lacks('swaks', '--version') ? 'this machine lacks swaks: apt-get install swaks' : false;
const noPython = lacks('python3', '--version') ? 'this machine lacks python3' : false;

let platform: Platform;
let directory: string;
let ca: string;
let smtp: { starttls: string; tls: string };
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'maildoot-submitted-'));
  platform = await startPlatform();
  ca = join(platform.home, 'smtp.crt');
  ({ smtp } = JSON.parse(await readFile(join(platform.home, 'up.json'), 'utf8')) as { smtp: typeof smtp });
});
after(async () => {
  await platform?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** What each recipient got, as it arrived. */
async function arrived(id: string, recipients: readonly string[]): Promise<Map<string, Buffer>> {
  const mails = await waitFor(
    async () => {
      const { body } = await platform.call<{ data: { id: string; message_id: string; rcpt_to: string[] }[] }>(
        'GET',
        '/v1/test/inbox?limit=100',
      );
      const mine = body.data.filter((mail) => mail.message_id === id);
      return mine.flatMap((mail) => mail.rcpt_to).length === recipients.length && mine;
    },
    { what: `${recipients.length} mails` },
  );
  const raws = new Map<string, Buffer>();
  for (const mail of mails) {
    const answer = await fetch(`${platform.api}/v1/test/inbox/${mail.id}/raw`, { headers: { Authorization: `Bearer ${platform.key}` } });
    const raw = Buffer.from(await answer.arrayBuffer());
    for (const recipient of mail.rcpt_to) raws.set(recipient, raw);
  }
  assert.deepEqual([...raws.keys()].sort(), recipients.toSorted());
  return raws;
}

/** By Python's email package: names and hashes of what is attached, and the text. */
async function read(raw: Buffer): Promise<{ text: string; attached: [string, string][] }> {
  const file = join(directory, `${randomBytes(6).toString('hex')}.eml`);
  await writeFile(file, raw);
  const { stdout } = await run('python3', ['-c', reader, file]);
  return JSON.parse(stdout) as { text: string; attached: [string, string][] };
}

const reader = `
import email, email.policy, hashlib, json, sys
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
attached = [[part.get_filename(), hashlib.sha256(part.get_payload(decode=True)).hexdigest()] for part in message.iter_attachments()]
text = next(part for part in message.walk() if part.get_content_type() == 'text/plain')
print(json.dumps({'text': text.get_content(), 'attached': attached}))
`;

for (const [port, how] of [
  ['starttls', ['--tls']],
  ['tls', ['--tls-on-connect']],
] as const)
  test(`swaks, ${port}: an attachment, dots and a blind copy`, { skip: noSwaks || noPython }, async () => {
    const attachment = randomBytes(150_001);
    const file = join(directory, 'data.bin');
    await writeFile(file, attachment);
    const text = '.one\n..two\n.\nend\n';
    const body = join(directory, 'body.txt');
    await writeFile(body, text);
    const [host, number] = smtp[port].split(':') as [string, string];
    const { stdout } = await run(
      'swaks',
      [
        ...['--server', host, '--port', number, ...how, '--tls-verify', '--tls-ca-path', ca],
        ...['--auth', 'PLAIN', '--auth-user', 'apikey', '--auth-password', platform.key],
        ...['--from', 'shop@yourdomain.example', '--to', 'ada@example.com,hidden@example.com'],
        // Whoever stands in no field gets a blind copy.
        ...['--header', 'To: ada@example.com', '--header', 'Subject: from swaks', '--body', `@${body}`],
        ...['--attach-type', 'application/octet-stream', '--attach-name', 'data.bin', '--attach', `@${file}`],
      ],
      { env: inherited(), timeout: 60_000 },
    );
    const [, id = ''] = /250 2\.0\.0 queued as (msg_[0-9a-z]{26})/.exec(stdout) ?? [];
    assert.notEqual(id, '', stdout.slice(-2000));
    for (const [recipient, raw] of await arrived(id, ['ada@example.com', 'hidden@example.com'])) {
      assert.doesNotMatch(raw.toString('latin1'), /hidden@|^bcc:/im, recipient);
      const { text: came, attached } = await read(raw);
      assert.equal(came.replaceAll('\r\n', '\n').trimEnd(), text.trimEnd());
      assert.deepEqual(attached, [['data.bin', sha256(attachment)]]);
    }
  });

test('swaks doesn’t trust another certificate', { skip: noSwaks }, async () => {
  const [host, number] = smtp.starttls.split(':') as [string, string];
  const args = ['--server', host, '--port', number, '--tls', '--tls-verify', '--from', 'a@yourdomain.example', '--to', 'b@example.com'];
  await assert.rejects(run('swaks', args, { env: inherited(), timeout: 30_000 }));
});

for (const port of ['starttls', 'tls'] as const)
  test(`smtplib, ${port}: bytes, a Bcc field, a reply for each recipient`, { skip: noPython }, async () => {
    const before = 'Date: Sat, 31 Jan 2026 08:00:00 +0000\r\nFrom:  shop@yourdomain.example\r\nMessage-ID: <mine@yourdomain.example>\r\n';
    const after = `To: ada@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Folded: one\r\n two\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${'x'.repeat(2000)}\r\n.\u00e9 📦\r\n..\r\n. \r\n\t\r\n\r\nend\r\n\r\n`;
    const file = join(directory, `${port}.eml`);
    await writeFile(file, `${before}Bcc: hidden@example.com,\r\n other@example.com\r\n${after}`);
    const { stdout } = await run('python3', ['-c', submit, smtp[port], port, platform.key, ca, file], { timeout: 60_000 });
    const { reply, refused } = JSON.parse(stdout) as { reply: string; refused: Record<string, [number, string]> };
    assert.deepEqual(Object.keys(refused), ['nobody']);
    assert.match(`${refused.nobody?.[0]} ${refused.nobody?.[1]}`, /^501 5\.1\.3 /);
    const [, id = ''] = /^250 2\.0\.0 queued as (msg_[0-9a-z]{26})/.exec(reply) ?? [];
    assert.notEqual(id, '', reply);
    for (const [recipient, raw] of await arrived(id, ['ada@example.com', 'hidden@example.com'])) {
      const start = raw.indexOf(before);
      assert.ok(start >= 0, recipient);
      assert.equal(sha256(raw.subarray(start)), sha256(Buffer.from(before + after)), recipient);
      assert.doesNotMatch(raw.subarray(0, start).toString('latin1'), /hidden@|bcc/i, recipient);
    }
  });

const submit = `
import json, smtplib, ssl, sys
where, kind, key, ca, path = sys.argv[1:]
host, port = where.split(':')
context = ssl.create_default_context(cafile=ca)
if kind == 'tls':
    s = smtplib.SMTP_SSL(host, int(port), context=context)
else:
    s = smtplib.SMTP(host, int(port))
    s.starttls(context=context)
s.login('apikey', key)
refused = {}
assert s.mail('bounce@yourdomain.example', ['BODY=8BITMIME'])[0] == 250
for to in ['ada@example.com', 'nobody', 'hidden@example.com']:
    code, text = s.rcpt(to)
    if code != 250: refused[to] = [code, text.decode()]
code, text = s.data(open(path, 'rb').read())
print(json.dumps({'reply': '%d %s' % (code, text.decode()), 'refused': refused}))
s.quit()
`;
