// Keys that call what will go: their owners are written to once for each key and operation, and until messaging has taken it.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { choosePassword, issuer, newTenant, type RunningAuth, startAuth } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());
beforeEach(() => {
  auth.notices.length = 0;
  auth.takesNotices.current = true;
});

const called = (tenantId: string, apiKeyId: string, operationId = 'listOldMessages') => ({
  tenantId,
  apiKeyId,
  operationId,
  operation: 'GET /v1/old-messages',
  meaning: 'Deprecated since 2026-11-21; it may be gone from 2027-05-21 on. Use `GET /v1/messages` instead.',
  docsUrl: 'https://mail.example/docs#listOldMessages',
});
const record = (...calls: ReturnType<typeof called>[]) => auth.gateway.recordDeprecatedCalls({ calls });
const waiting = async () => (await auth.database.query('SELECT FROM deprecation_notice WHERE due_at IS NOT NULL')).rows.length;
const noneWait = () => waitFor(async () => (await waiting()) === 0, { what: 'all notices to be taken' });

async function tenantWithKey() {
  const { tenantId } = await newTenant(auth);
  const [key] = (await auth.gateway.listApiKeys({ limit: 1, afterId: '' }, { tenantId })).apiKeys;
  const [owner] = (await auth.gateway.listMembers({ limit: 1, afterId: '' }, { tenantId })).members;
  if (!key || !owner) throw new Error('a tenant has a key and an owner');
  return { tenantId, key, owner };
}

test('each owner gets one mail for each key and operation, however often it is called', async () => {
  const { tenantId, key, owner } = await tenantWithKey();
  const invite = (email: string, role: Role) =>
    auth.gateway.inviteMember(
      {
        email,
        role,
        actorId: owner.id,
        publicUrl: issuer,
        idempotencyKey: '',
        requestSha256: Buffer.alloc(0),
      },
      { tenantId },
    );
  await invite('second-owner@example.com', Role.ROLE_OWNER);
  await invite('a-viewer@example.com', Role.ROLE_VIEWER);
  await waitFor(() => auth.notices.length === 2, { what: 'the invitations' });
  auth.notices.length = 0;
  for (let count = 0; count < 3; count++) await record(called(tenantId, key.id), called(tenantId, key.id));
  await noneWait();
  // Nobody has come yet, so the first: who is invited may be a stranger.
  assert.deepEqual(
    auth.notices.map(({ to }) => to),
    [owner.email],
  );
  const [notice] = auth.notices;
  assert.equal(notice?.kind, 'deprecation');
  assert.match(notice?.subject ?? '', /^GET \/v1\/old-messages is deprecated, and your API key “.+” calls it$/);
  for (const part of [
    key.name,
    key.prefix,
    'may be gone from 2027-05-21',
    'GET /v1/messages instead',
    'https://mail.example/docs#listOldMessages',
  ])
    assert.ok(notice?.text.includes(part), part);
  // Another operation is another matter.
  const told = async (operationId: string) => {
    auth.notices.length = 0;
    await record(called(tenantId, key.id, operationId));
    await noneWait();
    return auth.notices.map(({ to }) => to).toSorted();
  };
  await choosePassword(auth, 'second-owner@example.com');
  assert.deepEqual(await told('listOlderMessages'), ['second-owner@example.com']);
  await choosePassword(auth, owner.email);
  assert.deepEqual(await told('listOldestMessages'), [owner.email, 'second-owner@example.com'].toSorted());
  assert.equal(new Set(auth.notices.map(({ idempotencyKey }) => idempotencyKey)).size, 2);
});

test('a notice is kept until it is taken, and is then the same one', async () => {
  const { tenantId, key } = await tenantWithKey();
  auth.takesNotices.current = false;
  await record(called(tenantId, key.id));
  await waitFor(
    async () => (await auth.database.query('SELECT FROM deprecation_notice WHERE tries > 0 AND due_at IS NOT NULL')).rows.length === 1,
    {
      what: 'a try that fails',
    },
  );
  auth.takesNotices.current = true;
  await waitFor(
    async () => {
      await auth.clock.advance(60_000);
      return auth.notices.length === 1;
    },
    { what: 'the next try' },
  );
  await noneWait();
  await record(called(tenantId, key.id));
  await auth.clock.advance(60 * 60_000);
  assert.equal(auth.notices.length, 1);
});

test('a key that is not the tenant’s, or is none, is nobody’s', async () => {
  const { key } = await tenantWithKey();
  const other = await tenantWithKey();
  await record(called(other.tenantId, key.id), called(other.tenantId, newId('key')), called('ten_x', 'key_x'));
  assert.equal(await waiting(), 0);
  assert.equal(auth.notices.length, 0);
  await assert.rejects(auth.stranger.recordDeprecatedCalls({ calls: [] }), { code: 'CALLER_NOT_ALLOWED' });
});
