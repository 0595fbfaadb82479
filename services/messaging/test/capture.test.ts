// Capture: everything goes to the built-in inbox, so any From is accepted, with a warning where a real delivery would refuse it.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createWorld, errorAt, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld({ capture: true });
});
after(() => world[Symbol.asyncDispose]());

it('an unverified From is accepted with a warning and not signed', async () => {
  const accepted = await world.acceptOne({ from: { email: 'me@anything.example', name: '' } });
  assert.deepEqual(
    accepted.warnings.map((warning) => [warning.path, warning.code]),
    [['from', 'DOMAIN_NOT_VERIFIED']],
  );
  assert.equal(accepted.captured, true);
  const [event] = await world.outboxOf(accepted.id);
  assert.deepEqual([event?.signingDomain, event?.captured], ['', true]);
  assert.equal((await world.get(accepted.id)).message?.captured, true);
});

it('a verified one is signed, and captured all the same', async () => {
  const accepted = await world.acceptOne();
  assert.deepEqual(accepted.warnings, []);
  const [event] = await world.outboxOf(accepted.id);
  assert.deepEqual([event?.signingDomain, event?.captured], ['sender.example', true]);
});

it('the credential’s own limit holds here too', async () => {
  const response = await world.accept({}, { allowedDomains: ['other.example'] });
  assert.equal(errorAt(response, 0).code, 'SENDER_NOT_ALLOWED');
});
