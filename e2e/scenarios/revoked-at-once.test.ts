/** A revoked key stops at every door within milliseconds, whichever process of auth revoked it. By the cache alone it would take 3 s. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { client, startPlatform } from '../platform.ts';

const KEYS = 20;
/** The cache answers for 3 s; this is well below, and well above what a busy machine needs. */
const AT_ONCE_MS = 1000;

test('a revoked key answers 401 at once, at every gateway', async (t) => {
  await using platform = await startPlatform();
  const stoppedAfterMs: number[] = [];
  for (let number = 0; number < KEYS; number++) {
    const made = await platform.call<{ id: string; key: string }>('POST', '/v1/api-keys', { name: `short-lived ${number}`, scope: 'read' });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const doors = platform.gateways.map((api) => client(api, made.body.key));
    for (const door of doors) assert.equal((await door('GET', '/v1/messages')).status, 200, 'and every door knows the key from now on');

    const revoked = await platform.call('DELETE', `/v1/api-keys/${made.body.id}`);
    const revokedAt = performance.now();
    assert.equal(revoked.status, 204);
    await Promise.all(
      doors.map(async (door) => {
        await waitFor(async () => (await door('GET', '/v1/messages')).status === 401, { what: 'a 401', intervalMs: 1 });
        stoppedAfterMs.push(performance.now() - revokedAt);
      }),
    );
  }
  stoppedAfterMs.sort((one, other) => one - other);
  const median = stoppedAfterMs[Math.floor(stoppedAfterMs.length / 2)] ?? Number.NaN;
  const longest = stoppedAfterMs.at(-1) ?? Number.NaN;
  t.diagnostic(
    `${KEYS} keys at ${platform.gateways.length} gateways: 401 after ${Math.round(median)} ms (median), ${Math.round(longest)} ms (longest)`,
  );
  assert.ok(median < AT_ONCE_MS, `${Math.round(median)} ms`);
});
