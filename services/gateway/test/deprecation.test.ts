// An operation that is declared deprecated, here alone: its answers, the document, the reference and the owners of keys say so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { rpcErrors } from '@maildoot/rpc/errors';
import { waitFor } from '@maildoot/testkit/wait';
import { z } from 'zod';
import { withDeprecated } from '../../../tools/openapi-release.ts';
import { type Deprecation, deprecationOf, isDeprecated } from '../src/deprecation.ts';
import type { OpenapiDocument } from '../src/openapi.ts';
import { defineRoute, json, type Route } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, send, startGateway } from './running-gateway.ts';

const deprecated: Deprecation = {
  since: '2026-11-21',
  sunset: '2027-05-21',
  replacement: 'listMessages',
  reason: 'It was slow.',
};
const old = (declaration: Deprecation) =>
  defineRoute({
    method: 'GET',
    path: '/v1/old-messages',
    operationId: 'listOldMessages',
    tag: 'Messages',
    summary: 'List messages as we used to',
    description: 'All of them.',
    deprecated: declaration,
    scopes: ['read', 'full'],
    errors: [],
    responses: [{ status: 200, description: 'None.', schema: z.strictObject({ data: z.array(z.string()) }), example: { data: [] } }],
    handle: async () => json(200, { data: [] }),
  });
const all: readonly Route[] = [...routes, old(deprecated)];
const headers = {
  deprecation: '@1795219200',
  sunset: 'Fri, 21 May 2027 00:00:00 GMT',
};

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, { PUBLIC_URL: 'https://api.example.com' }, undefined, {}, all);
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

test('every answer says since when, until when, and where to read on', async () => {
  for (const [path, key, status] of [
    ['/v1/old-messages', tenant.keys.full, 200],
    ['/v1/old-messages', undefined, 401],
    ['/v1/old-messages', tenant.keys.send, 403],
    ['/v1/old-messages?nonsense=1', tenant.keys.full, 400],
  ] as const) {
    const answer = await gateway.call('GET', path, { key });
    assert.equal(answer.status, status);
    assert.equal(answer.headers.deprecation, headers.deprecation);
    assert.equal(new Date(Number(headers.deprecation.slice(1)) * 1000).toISOString(), '2026-11-21T00:00:00.000Z');
    assert.equal(answer.headers.sunset, headers.sunset);
    assert.equal(
      answer.headers.link,
      '<https://api.example.com/docs#listOldMessages>; rel="deprecation"; type="text/html", ' +
        '<https://api.example.com/docs#listMessages>; rel="successor-version"; type="text/html"',
    );
  }
});

test('no other operation says so', async () => {
  for (const path of ['/v1/messages', '/v1/nothing', '/healthz']) {
    const answer = await gateway.call('GET', path, { key: tenant.keys.full });
    for (const name of ['deprecation', 'sunset', 'link']) assert.equal(answer.headers[name], undefined, `${path} ${name}`);
  }
});

test('the document, the reference and the changelog say so', async () => {
  const document = (await gateway.call('GET', '/v1/openapi.json')).json as OpenapiDocument;
  const operation = document.paths['/v1/old-messages']?.get;
  assert.equal(operation?.deprecated, true);
  assert.equal(operation?.['x-sunset'], '2027-05-21');
  const says = 'Deprecated since 2026-11-21; it may be gone from 2027-05-21 on. Use `GET /v1/messages` instead. It was slow.';
  assert.ok(operation?.description?.startsWith(`${says}\n\nAll of them.`), operation?.description);
  for (const [status, response] of Object.entries(operation?.responses ?? {}))
    for (const name of ['Deprecation', 'Sunset', 'Link']) assert.ok(response.headers?.[name], `${status} ${name}`);
  assert.equal(document.paths['/v1/messages']?.get?.deprecated, undefined);
  const reference = (await gateway.call('GET', '/docs')).text;
  assert.ok(reference.includes('Deprecated since 2026-11-21; it may be gone from 2027-05-21 on'), 'the reference does not say so');
  const changelog = withDeprecated('<!-- deprecated -->\n<!-- /deprecated -->\n', all);
  assert.equal(changelog, `<!-- deprecated -->\n- \`GET /v1/old-messages\`: ${says}\n<!-- /deprecated -->\n`);
});

test('auth is told of each key once, also when it could not be told at first, and of sessions never', async () => {
  const other = services.addTenant();
  const told = () => services.people.deprecatedCalls.filter(({ tenantId }) => tenantId === other.id);
  let refused = 0;
  services.instead('recordDeprecatedCalls', () => {
    refused++;
    throw rpcErrors.UNAVAILABLE({ message: 'not now' });
  });
  const ask = (key: string) => gateway.call('GET', '/v1/old-messages', { key });
  await ask(other.keys.full);
  await waitFor(() => refused > 0, { what: 'auth to be told' });
  services.instead('recordDeprecatedCalls');
  for (let count = 0; count < 5; count++) await ask(other.keys.full);
  await ask(other.keys.read);
  const session = await services.people.session('https://api.example.com', { tenantId: other.id, role: 1 });
  await ask(session.token);
  await gateway.call('GET', '/v1/messages', { key: other.keys.send });
  await waitFor(() => told().length >= 2, { what: 'both keys to be told' });
  assert.deepEqual(
    told().map(({ tenantId, operationId, operation }) => [tenantId, operationId, operation]),
    [
      [other.id, 'listOldMessages', 'GET /v1/old-messages'],
      [other.id, 'listOldMessages', 'GET /v1/old-messages'],
    ],
  );
  assert.equal(new Set(told().map(({ apiKeyId }) => apiKeyId)).size, 2);
  for (const { apiKeyId, meaning, docsUrl } of told()) {
    assert.match(apiKeyId, /^key_/);
    assert.match(meaning, /^Deprecated since 2026-11-21; it may be gone from 2027-05-21 on\. Use `GET \/v1\/messages` instead\./);
    assert.equal(docsUrl, 'https://api.example.com/docs#listOldMessages');
  }
});

test('a declaration that promises less than the API does stops the gateway', async () => {
  for (const [declaration, says] of [
    [{ ...deprecated, sunset: '2027-05-20' }, /stays for 6 months, until 2027-05-21/],
    [{ ...deprecated, since: 'soon' }, /deprecated\.since is no day/],
    [{ ...deprecated, sunset: '2027-02-30' }, /deprecated\.sunset is no day/],
    [{ ...deprecated, replacement: 'listNothing' }, /no operation listNothing/],
    [{ ...deprecated, replacement: 'listOldMessages' }, /is deprecated too/],
  ] as const) {
    await assert.rejects(startGateway(services, {}, undefined, {}, [...routes, old(declaration)]), says);
  }
});

test('what is deprecated in this release is declared as it must be', () => {
  for (const route of routes.filter(isDeprecated)) assert.ok(deprecationOf(route, routes).sunset);
});

test('a gateway without deprecated operations tells nobody', async () => {
  const { deprecatedCalls } = services.people;
  deprecatedCalls.length = 0;
  {
    await using plain = await startGateway(services);
    assert.equal((await send(plain.url, 'GET', '/v1/messages', { key: tenant.keys.full })).status, 200);
  }
  assert.deepEqual(deprecatedCalls, []);
});
