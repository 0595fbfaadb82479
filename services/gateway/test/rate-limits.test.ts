// Limits at the real gateway: what is counted, what the headers say, and that a request is not held up by counting.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredentialKind, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { Ledger, type Take, type Taken } from '@maildoot/proto/maildoot/auth/v1/quota';
import type { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices } from './fake-services.ts';
import { startGateway } from './running-gateway.ts';

const message = { from: 'no-reply@shop.example', to: 'user@example.com', subject: 'hello', text: 'Hello!' };

/** Ledgers with these limits; the others have none. Portions of one twentieth of the rest, as auth gives them. */
function ledgers(limits: Partial<Record<Ledger, number>>, windowS = 60) {
  const taken = new Map<string, number>();
  const asked: Take[] = [];
  const quota = (take: Take): Taken => {
    asked.push(take);
    const limit = take.ledger === Ledger.LEDGER_CREDENTIAL_MESSAGES ? take.credentialLimit : (limits[take.ledger] ?? 0);
    const window = { windowStartS: 1n, windowS, endsInMs: windowS * 1000 };
    if (limit === 0) return { granted: 0, limit: 0n, remaining: 0n, ...window };
    const key = `${take.ledger} ${take.credentialId || take.tenantId}`;
    const before = Math.max(0, (taken.get(key) ?? 0) - take.returned);
    const granted = limit - before < take.needed ? 0 : take.needed + Math.min(take.wanted, Math.floor((limit - before - take.needed) / 20));
    taken.set(key, before + granted);
    return { granted, limit: BigInt(limit), remaining: BigInt(limit - before - granted), ...window };
  };
  return { quota, asked, taken };
}

test('requests over the limit of a minute are refused with the time to wait, and every answer says how many are left', async () => {
  await using services = await FakeServices.start();
  services.people.quota = ledgers({ [Ledger.LEDGER_REQUESTS]: 3 }).quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const seen = [];
  for (let count = 0; count < 4; count++) {
    const { status, code, headers } = await gateway.call('GET', '/v1/messages', { key: keys.full });
    seen.push([status, code, headers['ratelimit-remaining']]);
    assert.equal(headers['ratelimit-policy'], '"requests";q=3;w=60');
    assert.equal(headers['ratelimit-limit'], '3');
    const reset = String(headers['ratelimit-reset']);
    // A minute, less what this test has taken of it.
    assert.match(reset, /^(60|[345]\d)$/);
    assert.equal(headers.ratelimit, `"requests";r=${Math.max(0, 2 - count)};t=${reset}`);
    assert.equal(headers['retry-after'], status === 429 ? reset : undefined);
  }
  assert.deepEqual(seen, [
    [200, undefined, '2'],
    [200, undefined, '1'],
    [200, undefined, '0'],
    [429, 'RATE_LIMITED', '0'],
  ]);
  // Another account has its own.
  const other = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: other.keys.full })).status, 200);
});

test('sending is counted apart from the other requests', async () => {
  await using services = await FakeServices.start();
  services.people.quota = ledgers({ [Ledger.LEDGER_REQUESTS]: 1, [Ledger.LEDGER_SENDS]: 2 }).quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const statuses = [];
  for (let count = 0; count < 3; count++)
    statuses.push((await gateway.call('POST', '/v1/messages', { key: keys.full, body: message })).status);
  assert.deepEqual(statuses, [202, 202, 429]);
  assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
});

test('messages over the day’s quota are refused before messaging is asked, and what was not sent is not counted', async () => {
  await using services = await FakeServices.start();
  services.people.quota = ledgers({ [Ledger.LEDGER_TENANT_MESSAGES]: 3 }, 86_400).quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const post = (body: unknown) => gateway.call('POST', '/v1/messages', { key: keys.send, body });
  assert.equal((await post([message, message])).status, 202);
  // One more is left, and neither of two is sent.
  const refused = await post([message, message]);
  assert.deepEqual([refused.status, refused.code], [402, 'QUOTA_EXCEEDED']);
  assert.equal(refused.headers['ratelimit-policy'], '"messages";q=3;w=86400');
  assert.equal(services.requestsOf('acceptMessages').length, 1);
  // What messaging does not take is given back.
  services.instead('acceptMessages', () => {
    throw new Error('not today');
  });
  assert.equal((await gateway.call('POST', '/v1/messages', { key: keys.send, body: message, expectFailure: true })).status, 500);
  services.instead('acceptMessages');
  assert.equal((await post(message)).status, 202);
  assert.equal((await post(message)).status, 402);
});

test('a key’s own limit is counted apart, and the account’s too', async () => {
  await using services = await FakeServices.start();
  services.people.quota = ledgers({ [Ledger.LEDGER_TENANT_MESSAGES]: 100 }).quota;
  await using gateway = await startGateway(services);
  const { id: tenantId, keys } = services.addTenant();
  const limited = services.addKey({ tenantId, scope: Scope.SCOPE_SEND, dailyLimit: 1 });
  assert.equal((await gateway.call('POST', '/v1/messages', { key: limited, body: message })).status, 202);
  const refused = await gateway.call('POST', '/v1/messages', { key: limited, body: message });
  assert.equal(refused.code, 'QUOTA_EXCEEDED');
  assert.match(refused.text, /for this key/);
  const { headers, status } = await gateway.call('POST', '/v1/messages', { key: keys.send, body: message });
  assert.equal(status, 202);
  // Two were sent: the refused one was given back to the account.
  assert.equal(headers['ratelimit-remaining'], '98');
});

test('of many requests few ask auth, and none waits for it but the first', async () => {
  await using services = await FakeServices.start();
  const { quota } = ledgers({ [Ledger.LEDGER_SENDS]: 100_000, [Ledger.LEDGER_TENANT_MESSAGES]: 100_000 });
  services.people.quota = quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const post = () => gateway.call('POST', '/v1/messages', { key: keys.send, body: message });
  const startedAt = performance.now();
  for (let count = 0; count < 60; count++) assert.equal((await post()).status, 202);
  const before = services.people.count.takeQuota;
  // And one a second about each of three ledgers, where the machine takes so long.
  const seconds = (performance.now() - startedAt) / 1000;
  assert.ok(before < 20 + 3 * seconds, `${before} questions for 60 requests in ${seconds} s`);
  // Auth hangs: what is held goes on being handed out.
  services.people.quota = () => new Promise(() => undefined);
  for (let count = 0; count < 5; count++) assert.equal((await post()).status, 202);
});

test('however many come at the same moment, none of them is refused while there is enough', async () => {
  await using services = await FakeServices.start();
  services.people.quota = ledgers({ [Ledger.LEDGER_REQUESTS]: 100_000 }).quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const statuses = await Promise.all(
    Array.from({ length: 300 }, async () => (await gateway.call('GET', '/v1/messages', { key: keys.full })).status),
  );
  assert.deepEqual([...new Set(statuses)], [200]);
});

test('while nobody can be asked, what was left at last is used up and no more, however long that lasts', async () => {
  await using services = await FakeServices.start();
  const { quota } = ledgers({ [Ledger.LEDGER_REQUESTS]: 5 });
  services.people.quota = quota;
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const ask = async () => (await gateway.call('GET', '/v1/messages', { key: keys.full })).status;
  assert.deepEqual([await ask(), await ask()], [200, 200]);
  let asked = 0;
  services.people.quota = () => {
    asked++;
    throw new Error('the ledgers are gone');
  };
  assert.deepEqual([await ask(), await ask(), await ask()], [200, 200, 200]);
  // Twice as long as nobody is asked after a failure: refused from what is known, and when auth was asked again.
  const meanwhile = new Set<number>();
  await waitFor(async () => meanwhile.add(await ask()) && asked >= 3, { what: 'auth to be asked again' });
  assert.deepEqual([...meanwhile], [429]);
  services.people.quota = quota;
  await waitFor(async () => (await ask()) === 200, { what: 'what the ledgers really have' });
});

test('who is new while nobody can be asked is not limited', async () => {
  await using services = await FakeServices.start();
  services.people.quota = () => {
    throw new Error('the ledgers are gone');
  };
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
  assert.equal((await gateway.call('POST', '/v1/messages', { key: keys.full, body: message })).status, 202);
});

test('what was taken and not used is given back when the gateway stops', async () => {
  await using services = await FakeServices.start();
  const { quota, taken } = ledgers({ [Ledger.LEDGER_TENANT_MESSAGES]: 1000 });
  services.people.quota = quota;
  const gateway = await startGateway(services);
  const { id, keys } = services.addTenant();
  assert.equal((await gateway.call('POST', '/v1/messages', { key: keys.send, body: message })).status, 202);
  const key = `${Ledger.LEDGER_TENANT_MESSAGES} ${id}`;
  assert.ok((taken.get(key) ?? 0) > 1);
  await gateway[Symbol.asyncDispose]();
  assert.equal(taken.get(key), 1);
});

test('of a test key every message is marked, whatever the form of the request', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { id: tenantId, keys } = services.addTenant();
  const testKey = services.addKey({ tenantId, scope: Scope.SCOPE_SEND, kind: CredentialKind.CREDENTIAL_KIND_TEST_KEY });
  const large = { ...message, html: 'x'.repeat(1_100_000) };
  for (const key of [testKey, keys.send]) {
    for (const body of [message, [message, message], { messages: [message] }, large]) {
      assert.equal((await gateway.call('POST', '/v1/messages', { key, body })).status, 202);
      const asked = services.requestsOf<AcceptMessagesRequest>('acceptMessages').at(-1);
      assert.ok(asked && asked.messages.length > 0);
      assert.ok(asked.messages.every((one) => one.test === (key === testKey)));
    }
  }
});

test('unknown credentials from one address are made to wait, and the good ones from there go on working', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services, { TRUSTED_PROXIES: '127.0.0.1' });
  const { keys } = services.addTenant();
  const from = (address: string, key: string) => gateway.call('GET', '/v1/messages', { key, headers: { 'x-forwarded-for': address } });
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  // The first answer comes behind the frame that makes the gateway forget what it knows; the second is remembered.
  for (let count = 0; count < 2; count++) assert.equal((await from('203.0.113.5', keys.full)).status, 200);
  const statuses = new Set<number>();
  for (let count = 0; count < 70; count++) statuses.add((await from('203.0.113.5', `mdsk_made_up_${count}`)).status);
  assert.deepEqual([...statuses], [401, 429]);
  // One more may be asked about every two seconds.
  let asked = 0;
  let refused: Awaited<ReturnType<typeof from>> | undefined;
  for (let more = 0; more === 0 || (refused?.status === 401 && more < 100); more++) {
    asked = services.requestsOf('authenticate').length;
    refused = await from('203.0.113.5', `mdsk_one_more_${more}`);
  }
  assert.equal(refused?.code, 'RATE_LIMITED', 'nobody is told to wait any more');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.equal(services.requestsOf('authenticate').length, asked, 'auth is not asked');
  assert.equal((await from('203.0.113.5', keys.full)).status, 200);
  assert.equal((await from('203.0.113.6', `mdsk_made_up_elsewhere`)).status, 401);
});

test('a good key at a wrong address is told to its owner', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { id: tenantId } = services.addTenant();
  const key = services.addKey({ tenantId, scope: Scope.SCOPE_FULL, allowedIps: ['198.51.100.0/24'] });
  for (let count = 0; count < 3; count++) assert.equal((await gateway.call('GET', '/v1/messages', { key })).code, 'INVALID_TOKEN');
  await waitFor(() => services.people.refusals.length > 0, { what: 'auth to be told' });
  assert.deepEqual(
    services.people.refusals.map((one) => [one.tenantId, one.address]),
    [[tenantId, '127.0.0.1']],
  );
});
