// For every operation, every answer that the document has: asked for, given by the real gateway, and held against its schema. What an
// operation needs for that is made of its description; a new operation, or a new answer of one, fails here until it can be brought about.
// What stands behind the gateway is in memory, because failures of services have to be made to order; each fails in its own words, from its
// own closed list, so that an error which no service has can't be documented. Answers of real services: e2e/.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openapiDocument } from '../src/openapi.ts';
import { definePublicRoute } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { FakeServices } from './fake-services.ts';
import { Documented, keyOf, nothingUndocumented, seen } from './recorder.ts';
import { answersOf, bringAbout, linkEnv, type World } from './recorder-answers.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let world: World;

before(async () => {
  services = await FakeServices.start();
  // Every request comes from an address of its own, where one is needed: too many bad credentials from one would be made to wait.
  gateway = await startGateway(services, { ...linkEnv, TRUSTED_PROXIES: '127.0.0.1' });
  world = { services, gateway, calls: 0 };
  services.people.quota = () => ({ granted: 8, limit: 1000n, remaining: 900n, windowStartS: 0n, windowS: 60, endsInMs: 60_000 });
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

const document = openapiDocument(routes, 'http://gateway.example');

test('what is served is what answers are held against', async () => {
  const { json } = await gateway.call('GET', '/v1/openapi.json');
  assert.deepEqual(json, JSON.parse(JSON.stringify(openapiDocument(routes, gateway.url))));
});

describe('every documented answer is given', () => {
  for (const route of routes) {
    test(`${route.method} ${route.path}`, async () => {
      const missing: string[] = [];
      for (const wanted of answersOf(route, document)) {
        const key = keyOf(wanted);
        if (seen.has(key)) continue;
        const response = await bringAbout(world, route, wanted);
        nothingUndocumented();
        // Whoever is known is told what is left: everybody has limits here.
        if (response !== undefined && route.kind === 'operation' && !['401', '303'].includes(wanted.status))
          assert.match(
            String(response.headers.ratelimit),
            route.sends ? /^"sends";r=\d+;t=\d+/ : /^"requests";r=\d+;t=\d+/,
            `${key}: without the headers of limits`,
          );
        if (!seen.has(key)) missing.push(`${key}, but ${response?.status} ${response?.code ?? ''}`);
      }
      assert.deepEqual(missing, [], 'these are documented and were not given');
    });
  }
});

test('the matrix: operations × documented answers', (context) => {
  const wanted = routes.flatMap((route) => answersOf(route, document));
  const documented = new Set(wanted.map(({ operationId, status }) => `${operationId} ${status}`));
  const answered = new Set([...seen.values()].map(({ operationId, status }) => `${operationId} ${status}`));
  const uncovered = [...documented].filter((one) => !answered.has(one));
  const unseen = wanted.map(keyOf).filter((key) => !seen.has(key));
  const responses = [...seen.values()].reduce((sum, { times }) => sum + times, 0);
  const width = Math.max(...routes.map(({ operationId }) => operationId.length));
  for (const { operationId } of routes) {
    const cells = [...documented].filter((one) => one.startsWith(`${operationId} `)).map((one) => one.split(' ')[1]);
    context.diagnostic(
      `${operationId.padEnd(width)} ${cells.map((status) => `${status}${answered.has(`${operationId} ${status}`) ? '' : '!'}`).join(' ')}`,
    );
  }
  const ofThem = documented.size - uncovered.length;
  console.log(`operations ${routes.length}, documented answers ${documented.size}, seen ${ofThem}, uncovered ${uncovered.length}`);
  console.log(
    `with each error code and content type by itself: ${wanted.length}, seen ${wanted.length - unseen.length}; ${responses} responses`,
  );
  assert.deepEqual(uncovered, []);
  assert.deepEqual(unseen, []);
});

test('every example of the document fits its schema', () => {
  const held = new Documented(document);
  let examples = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const at = ['paths', path, method];
      const check = (type: string, named: Record<string, { value: unknown }>, ...place: string[]): void => {
        for (const [name, { value }] of Object.entries(named)) {
          examples++;
          const problems = held.problemsOf(value, ...at, ...place, 'content', type, 'schema');
          assert.equal(problems, '', `${method} ${path}: ${place.join(' ')}, example ${name}`);
        }
      };
      for (const [type, { examples: named = {} }] of Object.entries(operation.requestBody?.content ?? {}))
        check(type, named, 'requestBody');
      for (const [status, { content = {} }] of Object.entries(operation.responses))
        for (const [type, { examples: named = {} }] of Object.entries(content)) check(type, named, 'responses', status);
      operation.parameters.forEach(({ name, example }, index) => {
        if (example === undefined) return;
        examples++;
        assert.equal(held.problemsOf(example, ...at, 'parameters', String(index), 'schema'), '', `${method} ${path}: ${name}`);
      });
    }
  }
  assert.ok(examples > 800, String(examples));
});

describe('what the recorder lets through', () => {
  const answer = {
    method: 'GET',
    path: '/readyz',
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8', 'x-request-id': `req_${'0'.repeat(26)}` },
    body: Buffer.from('{"status":"ready"}'),
  };
  const withHeaders = (headers: Record<string, string>) => ({ ...answer, headers: { ...answer.headers, ...headers } });
  const held = new Documented(document);
  test('an answer as it is documented', () => assert.equal(held.check(answer)?.operationId, 'getReadiness'));
  for (const [what, bad, says] of [
    ['a status that is not documented', { ...answer, status: 201 }, /does not document this status/],
    ['a body of another shape', { ...answer, body: Buffer.from('{"status":"maybe"}') }, /not what getReadiness documents/],
    ['a body without a field', { ...answer, body: Buffer.from('{}') }, /not what getReadiness documents/],
    ['another content type', withHeaders({ 'content-type': 'text/html' }), /does not document text\/html/],
    ['no content', { ...answer, headers: { 'x-request-id': `req_${'0'.repeat(26)}` }, body: Buffer.alloc(0) }, /without content/],
    ['an answer without a name', { ...answer, headers: { 'content-type': 'application/json' } }, /without its X-Request-Id/],
    ['a header that is not documented', withHeaders({ 'retry-after': '3' }), /Retry-After is not documented/],
    ['an operation that is not there', { ...answer, path: '/v1/nothing' }, /no such operation/],
    ['a method that is not there', { ...answer, method: 'POST' }, /no such operation/],
  ] as const)
    test(`not ${what}`, () => assert.throws(() => held.check(bad), says));

  test('no answer that is not documented, whoever asked', async () => {
    const wrong = definePublicRoute({
      method: 'GET',
      path: '/v1/wrong',
      operationId: 'wrong',
      tag: 'Platform',
      summary: 'It answers what it doesn’t document',
      responses: [{ status: 200, description: 'Never.' }],
      handle: () => ({ status: 201 }),
    });
    await using other = await startGateway(services, {}, undefined, {}, [...routes, wrong]);
    assert.equal((await fetch(`${other.url}/v1/wrong`)).status, 201);
    assert.throws(nothingUndocumented, /wrong does not document this status/);
    await assert.rejects(other.call('GET', '/v1/wrong'), /wrong does not document this status/);
    assert.equal((await fetch(`${other.url}/v1/nothing`)).status, 404);
    nothingUndocumented();
  });
});
