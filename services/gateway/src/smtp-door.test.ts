// The submission doors as one host meets them that opens more sessions than are its share, and one that asks for what isn't offered.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createCertificate } from '@maildoot/runtime/certificate';
import { waitFor } from '@maildoot/testkit/wait';
import type { Principal } from './authentication.ts';
import { BodyBudget } from './request-body.ts';
import { startSmtpDoor } from './smtp-door.ts';

/** The first line that the door says, and the session still open. */
async function greeted(address: string | undefined, secure: boolean) {
  const [host = '', port = ''] = (address ?? '').split(':');
  const socket = secure ? connectTls({ host, port: Number(port), rejectUnauthorized: false }) : connectPlain({ host, port: Number(port) });
  const [greeting] = (await once(socket.setEncoding('latin1'), 'data')) as [string];
  return { greeting, [Symbol.dispose]: () => void socket.destroy() };
}

test('one address has its share of the sessions, over both doors, and gets it back', async () => {
  await using door = await startSmtpDoor({
    listen: { starttls: '127.0.0.1:0', tls: '127.0.0.1:0' },
    hostname: 'localhost',
    certificate: createCertificate({ names: ['localhost'] }),
    perHolder: { most: 2, countLoopback: true },
    budget: new BodyBudget(1024),
    authenticate: () => assert.fail('nobody shows anything'),
    submit: () => assert.fail('nobody sends anything'),
    ended: () => undefined,
  });
  using plain = await greeted(door.starttls, false);
  {
    using secure = await greeted(door.tls, true);
    for (const { greeting } of [plain, secure]) assert.match(greeting, /^220 /);
    for (const isSecure of [true, false, true]) {
      using third = await greeted(isSecure ? door.tls : door.starttls, isSecure);
      assert.match(third.greeting, /^421 4\.7\.0 /);
    }
  }
  await waitFor(
    async () => {
      using next = await greeted(door.tls, true);
      return next.greeting.startsWith('220 ');
    },
    { what: 'the place of the one that left' },
  );
});

test('a parameter that EHLO doesn’t offer is refused with 555, at MAIL and at RCPT, and the session goes on', async () => {
  await using door = await startSmtpDoor({
    listen: { starttls: undefined, tls: '127.0.0.1:0' },
    hostname: 'localhost',
    certificate: createCertificate({ names: ['localhost'] }),
    perHolder: { most: 2, countLoopback: true },
    budget: new BodyBudget(1024),
    authenticate: async () => ({ tenantId: 'ten_1' }) as unknown as Principal,
    submit: () => assert.fail('nobody sends anything'),
    ended: () => undefined,
  });
  const [host = '', port = ''] = (door.tls ?? '').split(':');
  const socket = connectTls({ host, port: Number(port), rejectUnauthorized: false });
  let said = '';
  socket.setEncoding('latin1').on('data', (text: string) => (said += text));
  const answerTo = async (command: string): Promise<string> => {
    const from = said.length;
    socket.write(`${command}\r\n`);
    return await waitFor(() => /^\d{3} .*\r\n/m.exec(said.slice(from))?.[0], { what: `an answer to ${command}` });
  };
  await waitFor(() => said.startsWith('220 '), { what: 'the greeting' });
  await answerTo('EHLO client.example');
  await answerTo(`AUTH PLAIN ${Buffer.from('\0user\0password').toString('base64')}`);
  for (const parameter of ['RET=HDRS', 'ENVID=1', 'REQUIRETLS', 'SIZE=10 XFOO=1'])
    assert.match(await answerTo(`MAIL FROM:<shop@us.example> ${parameter}`), /^555 5\.5\.4 /, parameter);
  assert.match(await answerTo('MAIL FROM:<shop@us.example> SIZE=10 BODY=8BITMIME AUTH=<>'), /^250 /);
  assert.match(await answerTo('RCPT TO:<ada@example.com> NOTIFY=NEVER'), /^555 5\.5\.4 /);
  assert.match(await answerTo('RCPT TO:<ada@example.com>'), /^250 /);
  socket.destroy();
});
