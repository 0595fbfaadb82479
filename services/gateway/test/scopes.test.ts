// Who may do what: every operation of the document with every kind of credential, as scopes.txt says it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type LinkPurpose, linkToken, signTarget } from '@maildoot/mail/tracking-token';
import { type AuthenticateRequest, CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import type { Operation, Route } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { FakeServices } from './fake-services.ts';
import { errors } from './fake-tenant.ts';
import { bodyFor, nameOf, pathFor } from './operations.ts';
import { type Gateway, send, startGateway } from './running-gateway.ts';
import { type Credential, columns, declaredText, reviewed, reviewedText } from './scopes-table.ts';

const tomorrow = () => new Date(Date.now() + 86_400_000);
const yesterday = () => new Date(Date.now() - 86_400_000);
const linkKey = { id: 'k1', key: Buffer.alloc(32, 5) };
const linked = newId('msg');

let services: FakeServices;
let gateway: Gateway;

before(async () => {
  services = await FakeServices.start();
  services.mail.messageIds.add(linked);
  // As auth does: a key that has expired is no key any more.
  services.instead('authenticate', ({ keySha256 }: AuthenticateRequest) => {
    const principal = services.principals.get(keySha256.toString('hex'));
    if (!principal || (principal.expiresAt && principal.expiresAt < new Date())) throw errors.INVALID_TOKEN({ message: 'no' });
    return { principal };
  });
  // Each operation's bad credentials come from an address of their own: too many from one would be made to wait.
  const env = { TRUSTED_PROXIES: '127.0.0.1', LINK_KEYS: `k1:${linkKey.key.toString('base64')}` };
  gateway = await startGateway(services, env);
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

/** What carries the credential, undefined for none; and a tenant whose things the operation is tried on. */
async function holderOf(credential: Credential) {
  const known = services.addTenant();
  const tenant = { ...known, sessionId: newId('ses') };
  const tenantId = tenant.id;
  const key = (more: Partial<Parameters<FakeServices['addKey']>[0]> = {}) => ({
    tenant,
    token: services.addKey({ tenantId, scope: Scope.SCOPE_FULL, ...more }),
  });
  const session = async (role: Role, more: { suspended?: boolean; expiresInS?: number } = {}) => {
    const { id: sessionId, token } = await services.people.session(gateway.url, { tenantId, role, ...more });
    return { tenant: { ...tenant, sessionId }, token };
  };
  const token = (role: Role, suspended = false) => ({ tenant, token: services.addToken({ tenantId, role, suspended }) });
  switch (credential) {
    case 'none':
      return { tenant, token: undefined };
    case 'pat':
      return token(Role.ROLE_OWNER);
    case 'patmem':
      return token(Role.ROLE_MEMBER);
    case 'patview':
      return token(Role.ROLE_VIEWER);
    case 'patsusp':
      return token(Role.ROLE_OWNER, true);
    case 'patover': {
      const holder = token(Role.ROLE_OWNER);
      services.revoke(holder.token);
      return holder;
    }
    case 'full':
      return key();
    case 'send':
      return key({ scope: Scope.SCOPE_SEND });
    case 'read':
      return key({ scope: Scope.SCOPE_READ });
    case 'test':
      return key({ kind: CredentialKind.CREDENTIAL_KIND_TEST_KEY });
    case 'brief':
      return key({ expiresAt: tomorrow() });
    case 'newer':
      return key({ scope: Scope.SCOPE_UNSPECIFIED });
    case 'suspkey':
      return key({ suspended: true });
    case 'expired':
      return key({ expiresAt: yesterday() });
    case 'address':
      return key({ allowedIps: ['198.51.100.0/24'] });
    case 'revoked': {
      const holder = key();
      services.revoke(holder.token);
      return holder;
    }
    case 'owner':
      return session(Role.ROLE_OWNER);
    case 'member':
      return session(Role.ROLE_MEMBER);
    case 'viewer':
      return session(Role.ROLE_VIEWER);
    case 'newrole':
      return session(Role.ROLE_UNSPECIFIED);
    case 'suspown':
      return session(Role.ROLE_OWNER, { suspended: true });
    case 'stale':
      return session(Role.ROLE_OWNER, { expiresInS: -60 });
    case 'ended': {
      const holder = await session(Role.ROLE_OWNER);
      services.people.sessions.delete(holder.tenant.sessionId);
      return holder;
    }
  }
}

const codes: Readonly<Record<string, string>> = { 401: 'INVALID_TOKEN', 403: 'INSUFFICIENT_SCOPE', '403s': 'ACCOUNT_SUSPENDED' };

test('the reviewed table is what the operations declare', () => {
  assert.equal(reviewedText(), declaredText(), 'after a change that is meant: node services/gateway/test/scopes-table.ts --write');
});

test('the table has every operation and every credential, and no other', () => {
  const table = reviewed();
  assert.deepEqual([...table.keys()], routes.map(nameOf));
  for (const [name, row] of table) assert.deepEqual(Object.keys(row), columns, name);
});

for (const route of routes) {
  const name = nameOf(route);
  test(`${name} answers every credential as the table says`, async () => {
    const row = reviewed().get(name);
    const wrong: string[] = [];
    for (const credential of columns) {
      const says = row?.[credential] ?? 'nothing';
      const { tenant, token } = await holderOf(credential);
      services.asked.length = 0;
      const headers = { 'x-forwarded-for': `203.0.113.${routes.indexOf(route)}`, ...openHeaders(route) };
      const {
        status,
        code,
        headers: answered,
      } = route.kind === 'operation' ? await askOperation(route, tenant, token, headers) : await askOpen(route, token, headers);
      // What belongs to no tenant goes on beside the requests: names of keys, notes of what was refused.
      const reached = services.asked.map(({ tenantId }) => tenantId).filter((tenantId) => tenantId !== '');
      const expected = credential === 'none' && says === '401' ? 'MISSING_TOKEN' : codes[says];
      const problem = (what: string) => wrong.push(`${credential}: ${what}, where the table says ${says}`);
      if (String(status) !== says.slice(0, 3)) problem(`${status} ${code ?? ''}`);
      if (code !== expected) problem(`the code ${code}`);
      if (status === 401 && !/^Bearer /.test(String(answered['www-authenticate']))) problem('no WWW-Authenticate');
      if (route.kind !== 'operation') continue;
      // What is refused reaches no service, and what is not reaches one, for the tenant whose credential it is.
      if (status >= 400 && reached.length > 0) problem('a service was asked');
      if (status < 400 && (reached.length !== 1 || reached[0] !== tenant.id))
        problem(`services were asked for ${reached.join() || 'nobody'}`);
    }
    assert.deepEqual(wrong, []);
  });
}

function askOperation(route: Operation, tenant: Parameters<typeof pathFor>[1], key: string | undefined, headers: Record<string, string>) {
  return gateway.call(route.method, pathFor(route, tenant), { key, headers, ...(route.body && { body: bodyFor(route) }) });
}

/** With what would work without any credential. */
function askOpen(route: Route, key: string | undefined, headers: Record<string, string>) {
  const uuid = idToUuid('msg', linked) ?? assert.fail();
  const token = (purpose: LinkPurpose) => linkToken(linkKey, purpose, { messageId: uuid, recipientNumber: 3 });
  const tokens: Record<string, string> = {
    '/t/o/:token': token('open'),
    '/t/c/:token': `${token('click')}${signTarget(linkKey, 'https://shop.example/')}`,
    '/u/:token': token('unsubscribe'),
  };
  const body = route.kind === 'open' && route.body ? { body: route.body.examples[0].value } : {};
  return send(gateway.url, route.method, route.path.replace(':token', tokens[route.path] ?? ''), { key, headers, ...body });
}

function openHeaders(route: Route): Record<string, string> {
  if (route.kind !== 'open') return {};
  return Object.fromEntries(Object.entries(route.headers ?? {}).map(([header, { example }]) => [header.toLowerCase(), example]));
}
