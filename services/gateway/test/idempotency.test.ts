// Every POST takes Idempotency-Key and hands it on with the hash of what is asked, or says in the document why no answer is kept under it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import { routes } from '../src/routes.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { bodyFor, nameOf, operations, pathFor } from './operations.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;
before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

interface Document {
  paths: Record<string, { post?: { description?: string; parameters?: { name: string; in: string }[] } }>;
}

test('every POST of the document takes the header, or its description says why not', async () => {
  const { paths } = (await gateway.call('GET', '/v1/openapi.json', {})).json as unknown as Document;
  const posts = Object.entries(paths).flatMap(([path, { post }]) => (post ? [{ path, post }] : []));
  assert.equal(posts.length, routes.filter(({ method }) => method === 'POST').length);
  for (const { path, post } of posts) {
    const takes = post.parameters?.some(({ name, in: place }) => name === 'Idempotency-Key' && place === 'header') ?? false;
    const says = /(?:Takes no|Keeps no answer under an) `Idempotency-Key`.*: \S.*\.$/m.test(post.description ?? '');
    assert.ok(takes !== says, `${path}: ${takes ? 'takes it and says that it doesn’t' : 'neither takes it nor says why'}`);
  }
});

test('a malformed key is refused at every POST, whether an answer is kept under it or not', async () => {
  const { id: sessionId, token: session } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  const headers = { 'Idempotency-Key': 'x'.repeat(256) };
  for (const route of routes.filter(({ method, path }) => method === 'POST' && path !== '/u/:token')) {
    const known = route.kind === 'operation';
    const key = known && route.credentials?.includes('key') === false ? session : tenant.keys.full;
    const body = route.kind !== 'public' && route.body ? { body: route.body.examples[0].value } : {};
    const path = known ? pathFor(route, { ...tenant, sessionId }) : route.path;
    const { status, issues } = await gateway.call('POST', path, { ...(known && { key }), ...body, headers });
    assert.deepEqual([status, issues], [400, ['Idempotency-Key invalid_idempotency_key']], nameOf(route));
  }
});

for (const route of operations.filter(({ method, idempotent }) => method === 'POST' && idempotent)) {
  test(`${nameOf(route)}: the key and the hash of what is asked reach the service`, async () => {
    const key = `idem-${route.operationId}`;
    const keysOf = (value: unknown): { idempotencyKey: string; requestSha256: Uint8Array }[] => {
      if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
      const own =
        'idempotencyKey' in value && 'requestSha256' in value ? [value as { idempotencyKey: string; requestSha256: Uint8Array }] : [];
      return [...own, ...Object.values(value).flatMap(keysOf)];
    };
    const ask = async (headers: Record<string, string>) => {
      const before = services.asked.length;
      const body = bodyFor(route);
      const { status, json } = await gateway.call('POST', pathFor(route, tenant), {
        key: tenant.keys.full,
        ...(body === undefined ? {} : { body }),
        headers,
      });
      assert.ok(status < 300, `${status} ${JSON.stringify(json)}`);
      return services.asked.slice(before).flatMap(({ request }) => keysOf(request));
    };
    const [said, ...more] = (await ask({ 'Idempotency-Key': key })).filter(({ idempotencyKey }) => idempotencyKey !== '');
    assert.deepEqual([said?.idempotencyKey, said?.requestSha256.length, more.length], [key, 32, 0]);
    assert.deepEqual(
      (await ask({})).filter(({ idempotencyKey }) => idempotencyKey !== ''),
      [],
      'none without the header',
    );
  });
}
