// Who listens to one process of auth hears of keys that are revoked through any of them, as soon as they are and not before, and is told
// when something may have been missed.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { waitFor } from '@maildoot/testkit/wait';
import { newTenant, type RunningAuth, startAuth } from './running-auth.ts';

const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');

/** What a listener has heard so far: hashes of keys, and `missed`. */
function listen(auth: RunningAuth) {
  const heard: string[] = [];
  const stop = new AbortController();
  const ended = (async () => {
    try {
      for await (const { keySha256, missed } of auth.gateway.watchRevocations({}, { deadlineMs: 60_000, signal: stop.signal })) {
        if (missed) heard.push('missed');
        heard.push(...keySha256.map((hash) => hash.toString('hex')));
      }
      return 'by auth';
    } catch (error) {
      if (stop.signal.aborted) return 'by us';
      throw error;
    }
  })();
  return {
    heard,
    ended,
    hears: (what: string) => waitFor(() => heard.includes(what), { what, intervalMs: 1 }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** On a busy machine it may be told more often that something may have been missed. */
const keysIn = ({ heard }: ReturnType<typeof listen>) => heard.filter((what) => what !== 'missed');

const revoke = (auth: RunningAuth, { tenantId, apiKey }: Awaited<ReturnType<typeof newTenant>>) =>
  auth.gateway.revokeApiKey(
    { id: apiKey?.id ?? '', callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
    { tenantId },
  );

test('a key revoked through one process is told to those who listen to another, within moments', async (t) => {
  await using one = await startAuth();
  await using other = await startAuth({ databaseUrl: one.databaseUrl });
  const tenant = await newTenant(one);
  await using here = listen(one);
  await using there = listen(other);
  await Promise.all([here.hears('missed'), there.hears('missed')]);
  const startedAt = performance.now();
  await revoke(one, tenant);
  await Promise.all([here.hears(hashOf(tenant.key)), there.hears(hashOf(tenant.key))]);
  t.diagnostic(`both knew ${Math.round(performance.now() - startedAt)} ms after the call`);
  // Whoever is told and asks gets the new answer: it was committed.
  await assert.rejects(other.gateway.authenticate({ keySha256: createHash('sha256').update(tenant.key).digest(), address: '' }), {
    code: 'INVALID_TOKEN',
  });
  assert.deepEqual(keysIn(there), [hashOf(tenant.key)]);
});

test('a revocation that is refused is not told', async () => {
  await using auth = await startAuth();
  const [tenant, stranger] = [await newTenant(auth), await newTenant(auth)];
  await using listener = listen(auth);
  await listener.hears('missed');
  await assert.rejects(revoke(auth, { ...tenant, tenantId: stranger.tenantId }), { code: 'NOT_FOUND' });
  await revoke(auth, tenant);
  await assert.rejects(revoke(auth, tenant), { code: 'NOT_FOUND' });
  await revoke(auth, stranger);
  await listener.hears(hashOf(stranger.key));
  assert.deepEqual(keysIn(listener), [hashOf(tenant.key), hashOf(stranger.key)]);
});

test('auth that could not hear its database says so when it can again', async () => {
  await using auth = await startAuth();
  const tenant = await newTenant(auth);
  await using listener = listen(auth);
  await listener.hears('missed');
  const before = listener.heard.length;
  await auth.database.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'auth watch' AND datname = current_database()",
  );
  await waitFor(() => listener.heard.length > before, { what: 'to be told' });
  assert.deepEqual(keysIn(listener), []);
  await revoke(auth, tenant);
  await listener.hears(hashOf(tenant.key));
});

test('a listener does not hold up the end of auth', async () => {
  await using auth = await startAuth();
  const listener = listen(auth);
  await listener.hears('missed');
  const startedAt = performance.now();
  await auth.stopService();
  assert.equal(await listener.ended, 'by auth');
  assert.ok(performance.now() - startedAt < 9000, 'a drain that waits for it takes 10 s');
});

test('only gateways may listen', async () => {
  await using auth = await startAuth();
  for (const caller of [auth.stranger, auth.operator]) {
    await assert.rejects(
      async () => {
        for await (const _ of caller.watchRevocations({})) assert.fail('it was told something');
      },
      { code: 'CALLER_NOT_ALLOWED' },
    );
  }
});
