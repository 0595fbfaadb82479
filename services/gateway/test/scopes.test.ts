// Who may do what: every operation with every kind of key.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeServices, type Gateway, Scope, startGateway } from './harness.ts';
import { bodyFor, nameOf, operations, pathFor } from './operations.ts';

/** `full` may everything; this says what else may. Written by hand: it is what the route table is checked against. */
const allowed: Record<string, string[]> = {
  'POST /v1/messages': ['send'],
  'GET /v1/messages': ['send', 'read'],
  'GET /v1/messages/:id': ['send', 'read'],
  'GET /v1/messages/:id/timeline': ['send', 'read'],
  'GET /v1/messages/:id/content': ['send', 'read'],
  'DELETE /v1/messages/:id': [],
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
  'GET /v1/api-keys': ['read'],
  'POST /v1/api-keys': [],
  'DELETE /v1/api-keys/:id': [],
  'GET /v1/test/inbox': ['read'],
  'GET /v1/test/inbox/:id': ['read'],
  'GET /v1/test/inbox/:id/raw': ['read'],
};

let services: FakeServices;
let gateway: Gateway;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

test('the table has every operation and no other', () =>
  assert.deepEqual(Object.keys(allowed).toSorted(), operations.map(nameOf).toSorted()));

for (const route of operations) {
  for (const scope of ['read', 'send', 'full', 'none'] as const) {
    const may = scope === 'full' || (allowed[nameOf(route)]?.includes(scope) ?? false);
    test(`${nameOf(route)} with a key of scope ${scope}: ${may ? 'allowed' : 'refused'}`, async () => {
      const tenant = services.addTenant();
      // A scope of a later release: nothing at all here.
      const key = scope === 'none' ? services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_UNSPECIFIED }) : tenant.keys[scope];
      services.asked.length = 0;
      const { status, code } = await gateway.call(route.method, pathFor(route, tenant), {
        key,
        ...(route.body ? { body: bodyFor(route) } : {}),
      });
      const reached = services.asked.filter(({ rpc }) => rpc !== 'authenticate');
      if (may) {
        assert.ok(status < 300, String(status));
        assert.equal(reached.length, 1);
        assert.equal(reached[0]?.tenantId, tenant.id);
      } else {
        assert.equal(code, 'INSUFFICIENT_SCOPE');
        assert.deepEqual(reached, []);
      }
    });
  }
}
