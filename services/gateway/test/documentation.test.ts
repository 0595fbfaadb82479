// The documentation is the truth: every example passes its own schema, what is documented is served, what is served is documented.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { errorSchema } from '../src/error-json.ts';
import { errorTable } from '../src/errors.ts';
import type { OpenapiDocument } from '../src/openapi.ts';
import { routes } from '../src/routes.ts';
import { readSendRequest } from '../src/send-request.ts';
import { FakeServices } from './fake-services.ts';
import { operations } from './operations.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let document: OpenapiDocument;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, { PUBLIC_URL: 'https://api.example.com/' });
  document = (await gateway.call('GET', '/v1/openapi.json')).json as OpenapiDocument;
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

for (const route of operations) {
  test(`${route.operationId}: every example passes its schema`, () => {
    for (const { summary, value } of route.body?.examples ?? []) {
      const parsed = route.body?.schema.safeParse(value);
      assert.ok(parsed?.success, `${summary}: ${parsed?.error?.message}`);
    }
    for (const response of route.responses) {
      if (response.schema === undefined) continue;
      assert.notEqual(response.example, undefined, `${response.status} has no example`);
      const parsed = response.schema.safeParse(response.example);
      assert.ok(parsed.success, `${response.status}: ${parsed.error?.message}`);
    }
  });
}

test('the examples of sending are what the request is really read with', () => {
  for (const { value } of operations.find(({ operationId }) => operationId === 'sendMessages')?.body?.examples ?? []) {
    const read = readSendRequest(Buffer.from(JSON.stringify(value)), {
      idempotencyKey: undefined,
      allowedDomains: [],
      credentialId: 'key_1',
      test: false,
      linkUrl: '',
    });
    assert.ok(!('refused' in read), JSON.stringify(read));
  }
});

test('the document is OpenAPI 3.1 with everything that it refers to', () => {
  assert.equal(document.openapi, '3.1.0');
  assert.deepEqual(document.servers, [{ url: 'https://api.example.com' }]);
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target ?? '');
  assert.ok(references.length > 10);
  for (const reference of references) {
    const [, kind = '', name = ''] = /^#\/components\/(schemas|headers)\/(.+)$/.exec(reference) ?? [];
    assert.ok((document.components as Record<string, Record<string, unknown>>)[kind]?.[name], reference);
  }
  assert.doesNotMatch(JSON.stringify(document), /\$defs/);
  const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  assert.equal(new Set(ids).size, ids.length);
});

test('every operation has an example of each answer and of each body', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      for (const content of Object.values(operation.requestBody?.content ?? {}))
        assert.ok(Object.keys(content.examples ?? {}).length > 0, `${method} ${path}`);
      for (const [status, response] of Object.entries(operation.responses)) {
        for (const [type, content] of Object.entries(response.content ?? {})) {
          if (operation.security.length === 0 && type !== 'application/json') continue;
          if (operation.operationId === 'getOpenapi') continue;
          const examples = Object.values(content.examples ?? {});
          assert.ok(examples.length > 0, `${method} ${path} ${status}`);
          if (Number(status) >= 400 && operation.security.length > 0)
            for (const { value } of examples) assert.ok(errorSchema.safeParse(value).success, `${method} ${path} ${status}`);
        }
      }
    }
  }
});

test('the example of every query parameter is taken, and limits say what they are by default', () => {
  let count = 0;
  for (const route of operations) {
    const { parameters = [] } = document.paths[route.path.replace(/:([a-z]+)/g, '{$1}')]?.[route.method.toLowerCase()] ?? {};
    for (const { name, in: place, example, schema } of parameters) {
      if (name === 'limit') assert.equal(schema.default, 20);
      if (place !== 'query' || example === undefined) continue;
      count++;
      assert.ok(route.query?.safeParse({ [name]: example }).success, `${route.operationId} ${name}`);
    }
  }
  assert.ok(count > 5);
});

test('what is documented is served, and nothing else is', async () => {
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
  for (const [path, documented] of Object.entries(document.paths)) {
    const real = path.replace(/\{[a-z]+\}/g, 'x');
    for (const method of methods) {
      const { status, code } = await gateway.call(method, real);
      // A link that is none is not found at a door that is there.
      const door = (documented as Record<string, { responses: object }>)[method.toLowerCase()]?.responses ?? {};
      const served = status !== 405 && (code !== 'NOT_FOUND' || '404' in door);
      assert.equal(served, method.toLowerCase() in documented, `${method} ${path} → ${status}`);
    }
  }
  assert.equal(Object.values(document.paths).flatMap(Object.keys).length, routes.length);
});

test('every route of the app is in the table: there is no other way in', async () => {
  for (const path of ['/metrics', '/v1', '/docs/x', '/favicon.ico', '/v1/template', '/v1/openapi.yaml', '/pages/inbox.html']) {
    assert.equal((await gateway.call('GET', path)).status, 404, path);
  }
});

test('the reference shows every operation with its curl line, and every error at its anchor', async () => {
  const { text, headers } = await gateway.call('GET', '/docs');
  assert.match(String(headers['content-type']), /^text\/html/);
  for (const { operationId, path } of operations) {
    assert.ok(text.includes(`id="${operationId}"`), operationId);
    assert.ok(text.includes(path.replace(/:([a-z]+)/g, '{$1}')), path);
  }
  for (const code of Object.keys(errorTable)) assert.ok(text.includes(`id="${code}"`), code);
  assert.match(text, /curl -X POST https:\/\/api\.example\.com\/v1\/messages/);
  assert.doesNotMatch(text, /<script|https?:\/\/(?!api\.example\.com)[a-z]+\.(?:com|net|org)\/[^ ]*\.(?:js|css)/);
  assert.doesNotMatch(text, /undefined|\[object/);
});

test('the link of an error leads to its place in the reference', async () => {
  const { json } = await gateway.call('GET', '/v1/messages');
  assert.equal((json as { error: { docs: string } }).error.docs, 'https://api.example.com/docs/errors#MISSING_TOKEN');
  const { status, headers } = await gateway.call('GET', '/docs/errors');
  assert.equal(status, 308);
  assert.equal(headers.location, '/docs');
});

test('pages run their own script and nothing else', async () => {
  const { createHash } = await import('node:crypto');
  const docs = await gateway.call('GET', '/docs');
  assert.match(String(docs.headers['content-security-policy']), /^default-src 'none'; script-src 'none';/);
  const inbox = await gateway.call('GET', '/inbox');
  const script = /<script>([\s\S]*?)<\/script>/.exec(inbox.text)?.[1] ?? '';
  const policy = String(inbox.headers['content-security-policy']);
  assert.ok(policy.includes(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`));
  assert.doesNotMatch(policy, /script-src[^;]*unsafe/);
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  // Mail is untrusted: it gets into the page as text or into a frame without rights.
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
  assert.match(script, /setAttribute\('sandbox', ''\)/);
  assert.doesNotMatch(inbox.text, / on[a-z]+="/);
});

test('what a request can’t do without is required in the document too', () => {
  const batch = document.paths['/v1/messages']?.delete?.parameters.find(({ name }) => name === 'batch_id');
  assert.equal(batch?.required, true);
  assert.deepEqual(document.components.schemas.MessageInput?.required, ['from', 'to']);
  for (const route of operations) {
    const { parameters = [] } = document.paths[route.path.replace(/:([a-z]+)/g, '{$1}')]?.[route.method.toLowerCase()] ?? {};
    for (const { name, in: place, required } of parameters) {
      if (place !== 'query') continue;
      const without = route.query?.safeParse({}).error?.issues.some(({ path }) => path[0] === name) ?? false;
      assert.equal(required, without, `${route.operationId} ${name}`);
    }
  }
});
