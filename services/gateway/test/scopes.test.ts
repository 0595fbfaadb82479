// Who may do what: every operation with every kind of credential.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CredentialKind, Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import { newId } from '@maildoot/runtime/ids';
import type { Operation } from '../src/route.ts';
import { FakeServices, type Gateway, Scope, startGateway } from './harness.ts';
import { bodyFor, nameOf, operations, pathFor } from './operations.ts';

/**
 * A full key and an owner may everything but what the tables below say; this says what keys of the other scopes may. A viewer may what `read`
 * may. Written by hand: it is what the route table is checked against.
 */
const allowed: Record<string, string[]> = {
  'POST /v1/messages': ['send'],
  'GET /v1/messages': ['send', 'read'],
  'GET /v1/messages/:id': ['send', 'read'],
  'GET /v1/messages/:id/timeline': ['send', 'read'],
  'GET /v1/messages/:id/content': ['send', 'read'],
  'PATCH /v1/messages/:id': [],
  'POST /v1/messages/:id/resend': [],
  'DELETE /v1/messages/:id': [],
  'DELETE /v1/messages': [],
  'GET /v1/stats': ['read'],
  'GET /v1/user-settings/suppressions': ['read'],
  'POST /v1/user-settings/suppressions': [],
  'POST /v1/user-settings/suppressions/import': [],
  'GET /v1/user-settings/suppressions/export': ['read'],
  'DELETE /v1/user-settings/suppressions/:email': [],
  'POST /v1/templates': [],
  'GET /v1/templates': ['read'],
  'GET /v1/templates/:id': ['read'],
  'PATCH /v1/templates/:id': [],
  'DELETE /v1/templates/:id': [],
  'POST /v1/templates/:id/send': ['send'],
  'POST /v1/templates/:id/preview': [],
  'GET /v1/templates/:id/versions': ['read'],
  'POST /v1/templates/:id/publish': [],
  'GET /v1/events': ['read'],
  'GET /v1/user-settings/domains': ['read'],
  'POST /v1/user-settings/domains': [],
  'GET /v1/user-settings/domains/:domain': ['read'],
  'DELETE /v1/user-settings/domains/:domain': [],
  'POST /v1/user-settings/domains/:domain/verify': [],
  'POST /v1/user-settings/domains/:domain/rotate-dkim': [],
  'GET /v1/user-settings/callbacks': ['read'],
  'POST /v1/user-settings/callbacks': [],
  'GET /v1/user-settings/callbacks/:id': ['read'],
  'PATCH /v1/user-settings/callbacks/:id': [],
  'DELETE /v1/user-settings/callbacks/:id': [],
  'POST /v1/user-settings/callbacks/:id/test': [],
  'POST /v1/user-settings/callbacks/:id/rotate-secret': [],
  'GET /v1/user-settings/callbacks/:id/attempts': ['read'],
  'POST /v1/user-settings/callbacks/:id/replay': [],
  'GET /v1/user-settings/smtp-users': ['read'],
  'POST /v1/user-settings/smtp-users': [],
  'DELETE /v1/user-settings/smtp-users/:id': [],
  'POST /v1/user-settings/smtp-users/:id/reset-password': [],
  'GET /v1/api-keys': ['read'],
  'POST /v1/api-keys': [],
  'DELETE /v1/api-keys/:id': [],
  'POST /v1/auth/logout': ['read'],
  'GET /v1/auth/sessions': ['read'],
  'DELETE /v1/auth/sessions': ['read'],
  'DELETE /v1/auth/sessions/:id': ['read'],
  'POST /v1/auth/password': ['read'],
  'GET /v1/team/members': ['read'],
  'POST /v1/team/members': [],
  'DELETE /v1/team/members/:id': [],
  'GET /v1/audit-log': ['read'],
  'GET /v1/test/inbox': ['read'],
  'GET /v1/test/inbox/:id': ['read'],
  'GET /v1/test/inbox/:id/raw': ['read'],
};

/** About the session itself: nothing that a key has. */
const sessionsOnly = [
  'POST /v1/auth/logout',
  'GET /v1/auth/sessions',
  'DELETE /v1/auth/sessions',
  'DELETE /v1/auth/sessions/:id',
  'POST /v1/auth/password',
];
/** Whoever lets others in lets them in for longer than a limited key lasts. */
const ownersOnly = ['POST /v1/team/members', 'DELETE /v1/team/members/:id'];
/** What a suspended account may beside every GET. */
const whileSuspended = ['POST /v1/auth/logout', 'DELETE /v1/auth/sessions', 'DELETE /v1/auth/sessions/:id', 'POST /v1/auth/password'];

const credentials = {
  'a full key': (name: string) => !sessionsOnly.includes(name),
  'a key of scope send': (name: string) => !sessionsOnly.includes(name) && allowed[name]?.includes('send') === true,
  'a key of scope read': (name: string) => !sessionsOnly.includes(name) && allowed[name]?.includes('read') === true,
  'a full test key': (name: string) => !sessionsOnly.includes(name) && !ownersOnly.includes(name),
  'a full key that lasts until tomorrow': (name: string) => !sessionsOnly.includes(name) && !ownersOnly.includes(name),
  'a key of a scope of a later release': () => false,
  'an owner': () => true,
  'a member': (name: string) => !ownersOnly.includes(name),
  'a viewer': (name: string) => allowed[name]?.includes('read') === true,
  'a role of a later release': () => false,
} as const;

type Credential = keyof typeof credentials;

/** The credential, and the ids that are its tenant's. */
async function holderOf(credential: Credential | 'suspended key' | 'suspended owner') {
  const tenant = services.addTenant();
  const tenantId = tenant.id;
  const key = (more: Parameters<FakeServices['addKey']>[0]) => ({
    tenant: { ...tenant, sessionId: newId('ses') },
    token: services.addKey(more),
  });
  const session = async (role: Role, suspended = false) => {
    const { id: sessionId, token } = await services.people.session(gateway.url, { tenantId, role, suspended });
    return { tenant: { ...tenant, sessionId }, token };
  };
  switch (credential) {
    case 'a full key':
      return key({ tenantId, scope: Scope.SCOPE_FULL });
    case 'a key of scope send':
      return key({ tenantId, scope: Scope.SCOPE_SEND });
    case 'a key of scope read':
      return key({ tenantId, scope: Scope.SCOPE_READ });
    case 'a full test key':
      return key({ tenantId, scope: Scope.SCOPE_FULL, kind: CredentialKind.CREDENTIAL_KIND_TEST_KEY });
    case 'a full key that lasts until tomorrow':
      return key({ tenantId, scope: Scope.SCOPE_FULL, expiresAt: new Date(Date.now() + 86_400_000) });
    case 'a key of a scope of a later release':
      return key({ tenantId, scope: Scope.SCOPE_UNSPECIFIED });
    case 'an owner':
      return session(Role.ROLE_OWNER);
    case 'a member':
      return session(Role.ROLE_MEMBER);
    case 'a viewer':
      return session(Role.ROLE_VIEWER);
    case 'a role of a later release':
      return session(Role.ROLE_UNSPECIFIED);
    case 'suspended key':
      return key({ tenantId, scope: Scope.SCOPE_FULL, suspended: true });
    case 'suspended owner':
      return session(Role.ROLE_OWNER, true);
  }
}

let services: FakeServices;
let gateway: Gateway;

before(async () => {
  services = await FakeServices.start();
  // Each test of bad credentials comes from an address of its own: too many from one would be made to wait.
  gateway = await startGateway(services, { TRUSTED_PROXIES: '127.0.0.1' });
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

test('the table has every operation and no other', () =>
  assert.deepEqual(Object.keys(allowed).toSorted(), operations.map(nameOf).toSorted()));

/** Calls the operation; what it answered, and what the services were asked for it. */
async function attempt(route: Operation, holder: Awaited<ReturnType<typeof holderOf>>) {
  services.asked.length = 0;
  const body = route.body ? { body: bodyFor(route) } : {};
  const response = await gateway.call(route.method, pathFor(route, holder.tenant), { key: holder.token, ...body });
  return { ...response, reached: services.asked.filter(({ rpc }) => rpc !== 'authenticate') };
}

for (const route of operations) {
  const name = nameOf(route);
  for (const [credential, says] of Object.entries(credentials)) {
    const may = says(name);
    test(`${name} with ${credential}: ${may ? 'allowed' : 'refused'}`, async () => {
      const holder = await holderOf(credential as Credential);
      const { status, code, reached } = await attempt(route, holder);
      if (may) {
        assert.ok(status < 300, String(status));
        assert.equal(reached.length, 1);
        assert.equal(reached[0]?.tenantId, holder.tenant.id);
      } else {
        assert.equal(code, 'INSUFFICIENT_SCOPE');
        assert.deepEqual(reached, []);
      }
    });
  }

  for (const credential of ['suspended key', 'suspended owner'] as const) {
    if (credential === 'suspended key' && sessionsOnly.includes(name)) continue;
    const may = route.method === 'GET' || whileSuspended.includes(name);
    test(`${name} with the ${credential}: ${may ? 'allowed' : 'refused'}`, async () => {
      const { status, code, reached } = await attempt(route, await holderOf(credential));
      if (may) assert.ok(status < 300, String(status));
      else {
        assert.equal(code, 'ACCOUNT_SUSPENDED');
        assert.deepEqual(reached, []);
      }
    });
  }

  test(`${name} with nothing, and with what is worth nothing: 401`, async () => {
    const tenant = { ...services.addTenant(), sessionId: newId('ses') };
    const tenantId = tenant.id;
    const revoked = services.addKey({ tenantId, scope: Scope.SCOPE_FULL });
    services.revoke(revoked);
    const elsewhere = services.addKey({ tenantId, scope: Scope.SCOPE_FULL, allowedIps: ['198.51.100.0/24'] });
    const ended = await services.people.session(gateway.url, { tenantId, role: Role.ROLE_OWNER });
    services.people.sessions.delete(ended.id);
    const over = await services.people.session(gateway.url, { tenantId, role: Role.ROLE_OWNER, expiresInS: -60 });
    services.asked.length = 0;
    const ask = async (key: string | undefined) => {
      const { status, code, headers } = await gateway.call(route.method, pathFor(route, tenant), {
        key,
        headers: { 'x-forwarded-for': `203.0.113.${operations.indexOf(route)}` },
      });
      assert.match(String(headers['www-authenticate']), /^Bearer /);
      return [status, code];
    };
    assert.deepEqual(await ask(undefined), [401, 'MISSING_TOKEN']);
    for (const key of [revoked, elsewhere, ended.token, over.token]) assert.deepEqual(await ask(key), [401, 'INVALID_TOKEN']);
    assert.deepEqual(
      services.asked.filter(({ rpc }) => rpc !== 'authenticate'),
      [],
    );
  });
}
