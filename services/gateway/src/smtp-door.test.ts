// The submission doors as one host meets them that opens more sessions than are its share.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createCertificate } from '@maildoot/runtime/certificate';
import { waitFor } from '@maildoot/testkit/wait';
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
