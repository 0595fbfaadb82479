// Tenants, made by RPC and by the operator's command: all of it or nothing.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { type RunningAuth, startAuth } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const principalOf = async (key: string) =>
  (await auth.gateway.authenticate({ keySha256: createHash('sha256').update(key).digest(), address: '' })).principal;

async function counts() {
  const { rows } = await auth.database.query(
    'SELECT (SELECT count(*)::int FROM tenant) AS tenants, (SELECT count(*)::int FROM account_user) AS users, (SELECT count(*)::int FROM api_key) AS keys',
  );
  return rows[0];
}

test('a tenant comes with its owner and a full key that works', async () => {
  const { tenantId, userId, apiKey, key } = await auth.operator.createTenant({ name: 'Acme', email: 'Owner@Acme.Example' });
  assert.match(tenantId, /^ten_/);
  assert.match(userId, /^usr_/);
  assert.deepEqual(await principalOf(key), {
    tenantId,
    apiKeyId: apiKey?.id,
    scope: Scope.SCOPE_FULL,
    allowedIps: [],
    allowedDomains: [],
    expiresAt: undefined,
    kind: CredentialKind.CREDENTIAL_KIND_API_KEY,
    userId: '',
    role: Role.ROLE_UNSPECIFIED,
    suspended: false,
    dailyLimit: 0,
  });
  const { rows } = await auth.database.query("SELECT email, role FROM account_user WHERE email_folded = 'owner@acme.example'");
  assert.deepEqual(rows, [{ email: 'Owner@acme.example', role: 'owner' }]);
});

test('a second tenant of the same owner is a conflict and leaves nothing behind', async () => {
  await auth.operator.createTenant({ name: 'One', email: 'same@example.com' });
  const before = await counts();
  for (const email of ['same@example.com', 'SAME@Example.COM']) {
    await assert.rejects(auth.operator.createTenant({ name: 'Two', email }), { code: 'CONFLICT' });
  }
  assert.deepEqual(await counts(), before);
});

test('at the same time: one of them', async () => {
  const answers = await Promise.allSettled(
    Array.from({ length: 6 }, () => auth.operator.createTenant({ name: 'Race', email: 'race@example.com' })),
  );
  assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 1);
  for (const answer of answers) if (answer.status === 'rejected') assert.equal(answer.reason.code, 'CONFLICT');
});

test('a name or address that is none is told', async () => {
  await assert.rejects(auth.operator.createTenant({ name: ' ', email: 'nobody' }), { code: 'VALIDATION_ERROR' });
});

const command = fileURLToPath(new URL('../src/commands/create-tenant.ts', import.meta.url));

function run(args: string[], env: Record<string, string> = { DATABASE_URL: auth.databaseUrl }) {
  return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [command, ...args], { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

test("the operator's command prints a tenant and a key that works", async () => {
  const { status, stdout, stderr } = await run(['--name', 'By hand', '--email', 'hand@example.com']);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const made = JSON.parse(stdout);
  assert.deepEqual(Object.keys(made), ['tenant_id', 'user_id', 'api_key_id', 'key']);
  assert.equal((await principalOf(made.key))?.tenantId, made.tenant_id);
});

for (const { what, args, env, status, says } of [
  {
    what: 'an address that is taken',
    args: ['--name', 'x', '--email', 'hand@example.com'],
    env: undefined,
    status: 65,
    says: /belongs to a tenant/,
  },
  { what: 'an address that is none', args: ['--name', 'x', '--email', 'x'], env: undefined, status: 65, says: /email: / },
  { what: 'a missing option', args: ['--name', 'x'], env: undefined, status: 64, says: /usage: / },
  { what: 'an unknown option', args: ['--nmae', 'x'], env: undefined, status: 64, says: /--nmae/ },
  { what: 'no database named', args: ['--name', 'x', '--email', 'y@example.com'], env: {}, status: 78, says: /DATABASE_URL/ },
  {
    what: 'no database there',
    args: ['--name', 'x', '--email', 'y@example.com'],
    env: { DATABASE_URL: 'postgres://nobody:geheim@127.0.0.1:1/none' },
    status: 1,
    says: /could not be made/,
  },
]) {
  test(`the operator's command, ${what}: one clear line and exit ${status}`, async () => {
    const answer = await run(args, env);
    assert.equal(answer.status, status);
    assert.equal(answer.stdout, '');
    assert.match(answer.stderr, says);
    assert.doesNotMatch(answer.stderr, /^ {4}at |geheim/m);
  });
}
