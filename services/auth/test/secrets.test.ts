// A key is in the answer that shows it and nowhere else: no table, no log line.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { newTenant, type RunningAuth, startAuth } from './running-auth.ts';

/** Everything that the service has written, whatever tables there are. */
async function everything(auth: RunningAuth): Promise<string> {
  const { rows: tables } = await auth.database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_schema = 'auth'`,
  );
  const texts = [];
  for (const { name } of tables) {
    const { rows } = await auth.database.query<{ row: string }>(`SELECT row::text FROM ${name} AS row`);
    texts.push(...rows.map((found) => found.row));
  }
  return texts.join('\n');
}

test('neither tables nor logs have a key, in the clear or in hexadecimal', async () => {
  await using auth = await startAuth();
  const tenant = await newTenant(auth);
  const made = await auth.gateway.createApiKey(
    {
      name: 'ci',
      scope: Scope.SCOPE_READ,
      callerScope: Scope.SCOPE_FULL,
      callerLimits: undefined,
      expiresAt: undefined,
      allowedIps: [],
      allowedDomains: [],
      idempotencyKey: 'once',
      requestSha256: createHash('sha256').update('x').digest(),
      test: false,
      dailyLimit: 0,
      actorId: 'key_1',
      callerRole: Role.ROLE_UNSPECIFIED,
    },
    { tenantId: tenant.tenantId },
  );
  await auth.gateway.authenticate({ keySha256: createHash('sha256').update(made.key).digest(), address: '' });
  await auth.gateway.revokeApiKey(
    {
      id: made.apiKey?.id ?? '',
      callerScope: Scope.SCOPE_FULL,
      callerLimits: undefined,
      actorId: 'key_1',
      callerRole: Role.ROLE_UNSPECIFIED,
    },
    { tenantId: tenant.tenantId },
  );
  await assert.rejects(auth.gateway.authenticate({ keySha256: createHash('sha256').update(made.key).digest(), address: '' }));

  const kept = await everything(auth);
  assert.ok(kept.includes(made.apiKey?.prefix ?? ''), 'the tables were looked at');
  assert.ok(auth.logs.text.includes(made.apiKey?.id ?? ''), 'the logs were looked at');
  for (const { key } of [tenant, made]) {
    const secret = key.slice('mdsk_'.length);
    for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64').slice(0, 40)]) {
      assert.ok(!kept.includes(form), 'a table has a key');
      assert.ok(!auth.logs.text.includes(form), 'a log line has a key');
    }
  }
  // What identifies a key to the gateway stays out of the logs too.
  assert.ok(!auth.logs.text.includes(createHash('sha256').update(made.key).digest('hex')));
});
