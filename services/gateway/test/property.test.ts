// Whatever JSON is sent: never a 5xx, always the one shape. The requests are the examples with something arbitrary put somewhere.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { bodyFor, keyOperations, nameOf, pathFor } from './operations.ts';
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

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '\0',
    '\r\n',
    '\ud800',
    '__proto__',
    'constructor',
    'a@b.c',
    '<a@b.c>',
    '"',
    '\u2028',
    '💥',
    'x'.repeat(2000),
    '9e99',
    '-1',
    'NaN',
    '2026-02-30T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '=',
    '====',
  ),
);
const oddValue = fc.oneof(
  { weight: 3, arbitrary: oddText },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      null,
      0,
      -1,
      1e308,
      true,
      [],
      {},
      [[]],
      [null],
      { email: null },
      { email: 'a@b.c', name: {} },
      Array(2000).fill('a@b.c'),
    ),
  },
);

/** Every place of a value: the value itself, and those of what is in it. */
function placesOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return [
    path,
    ...Object.entries(value).flatMap(([name, inner]) => placesOf(inner, [...path, Array.isArray(value) ? Number(name) : name])),
  ];
}

function withChange(value: unknown, [first, ...rest]: (string | number)[], change: (old: unknown) => unknown): unknown {
  if (first === undefined) return change(value);
  if (Array.isArray(value)) return value.map((item, index) => (index === first ? withChange(item, rest, change) : item));
  const object = value as Record<string, unknown>;
  return { ...object, [first]: withChange(object[first], rest, change) };
}

/** An example with up to four arbitrary changes: a value replaced, or a field added beside others. */
function mutated(examples: readonly unknown[]): fc.Arbitrary<unknown> {
  const change = fc.record({ at: fc.nat(1000), value: oddValue, add: fc.option(oddText, { freq: 3 }) });
  return fc.tuple(fc.constantFrom(...examples), fc.array(change, { minLength: 1, maxLength: 4 })).map(([example, changes]) =>
    changes.reduce((value: unknown, { at, value: odd, add }) => {
      const places = placesOf(value);
      const place = places[at % places.length] ?? [];
      return withChange(value, place, (old) => {
        if (add === null || typeof old !== 'object' || old === null || Array.isArray(old)) return odd;
        return Object.defineProperty({ ...old }, add, { value: odd, enumerable: true });
      });
    }, example),
  );
}

const runs = { numRuns: 150 };

for (const route of keyOperations) {
  const path = () => pathFor(route, tenant);

  if (route.body) {
    const examples = route.body.examples.map(({ value }) => value);
    test(`${nameOf(route)}: any body`, async () => {
      const seen = new Set<number>();
      await fc.assert(
        fc.asyncProperty(mutated(examples), async (body) => {
          // checkAnswer, inside, holds the shape of the answer against the documentation and refuses any 5xx.
          const { status } = await gateway.call(route.method, path(), { key: tenant.keys.full, body: JSON.stringify(body) ?? 'null' });
          seen.add(status);
        }),
        runs,
      );
      assert.ok(seen.has(400), 'no change was ever refused');
    });
    test(`${nameOf(route)}: any bytes`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: route.body?.optional ? 1 : 0, maxLength: 200 }), async (bytes) => {
          assert.ok((await gateway.call(route.method, path(), { key: tenant.keys.full, body: Buffer.from(bytes) })).status >= 400);
        }),
        { numRuns: 50 },
      );
    });
  }

  test(`${nameOf(route)}: any query`, async () => {
    const names = fc.oneof(
      oddText,
      fc.constantFrom(
        'limit',
        'cursor',
        'to',
        'from',
        'subject',
        'tag',
        'status',
        'metadata',
        'metadata[a]',
        'metadata[__proto__]',
        'created_after',
        'domain',
        'batch_id',
        'message_id',
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(names, oddText), { minLength: 1, maxLength: 4 }), async (pairs) => {
        const query = pairs
          .map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`)
          .join('&');
        await gateway.call(route.method, `${path()}?${query}`, { key: tenant.keys.full, ...(route.body ? { body: bodyFor(route) } : {}) });
      }),
      { numRuns: 60 },
    );
  });

  if (route.path.includes(':')) {
    test(`${nameOf(route)}: any id`, async () => {
      // One that nothing was drawn for yet: an address that a body put onto a list can be taken off it.
      const { keys } = services.addTenant();
      await fc.assert(
        fc.asyncProperty(oddText, async (text) => {
          const { status } = await gateway.call(
            route.method,
            route.path.replace(/:[a-z]+/, encodeURIComponent(text.toWellFormed()) || 'x'),
            { key: keys.full, ...(route.body ? { body: bodyFor(route) } : {}) },
          );
          assert.ok(status === 404 || status === 405, String(status));
        }),
        { numRuns: 60 },
      );
    });
  }
}

test('any Idempotency-Key that a header can carry', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({
        unit: fc
          .integer({ min: 0x20, max: 0xff })
          .filter((code) => code !== 0x7f)
          .map((code) => String.fromCharCode(code)),
        maxLength: 300,
      }),
      async (key) => {
        await gateway.call('POST', '/v1/messages', {
          key: tenant.keys.full,
          body: keyOperations[0]?.body?.examples[0].value,
          headers: { 'idempotency-key': key },
        });
      },
    ),
    { numRuns: 60 },
  );
});
