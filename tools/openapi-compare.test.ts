// What is a breaking change of the API and what isn't, on a small document and on ours.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from './openapi-compare.ts';
import { documentOfNow, printed, releasedDocument, withDeprecated, withRelease } from './openapi-release.ts';
import type { Finding, JsonObject } from './openapi-schemas.ts';

const today = '2026-11-21';

/** Taken apart by JSON, so that a change is a change of one place. */
interface Changeable {
  [name: string]: Changeable;
}

function base(): Changeable {
  const thing = {
    type: 'object',
    properties: {
      id: { type: 'string' },
      status: { type: 'string', enum: ['new', 'done'] },
      note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      tags: { type: 'array', items: { type: 'string' } },
      child: { $ref: '#/components/schemas/Thing' },
      more: { type: 'object', additionalProperties: { type: 'string' } },
    },
    required: ['id', 'status'],
  };
  const input = {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 10 },
      kind: { type: 'string', enum: ['a', 'b'] },
      size: { type: 'integer', minimum: 1, maximum: 100 },
      to: {
        anyOf: [
          { type: 'string', format: 'date' },
          { type: 'array', items: { type: 'string' }, maxItems: 5 },
        ],
      },
      values: { type: 'object', propertyNames: { type: 'string' }, additionalProperties: {} },
    },
    required: ['name'],
    additionalProperties: false,
  };
  return {
    paths: {
      '/things/{id}': {
        post: {
          operationId: 'changeThing',
          security: [{ apiKey: [] }, { session: [] }],
          parameters: [
            { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
            { name: 'limit', in: 'query', required: false, schema: { type: 'integer', minimum: 1, maximum: 100 } },
          ],
          requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Input' } } } },
          responses: {
            200: {
              description: 'It.',
              headers: { 'X-Request-Id': { required: true, schema: { type: 'string' } } },
              content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } },
            },
            404: { description: 'No.' },
          },
        },
        delete: { operationId: 'deleteThing', security: [], parameters: [], responses: { 204: { description: 'Gone.' } } },
      },
    },
    components: { schemas: { Thing: thing, Input: input } },
  } as unknown as Changeable;
}

type Change = (parts: { post: Changeable; thing: Changeable; input: Changeable; item: Changeable; document: Changeable }) => void;

function after(change: Change): Finding[] {
  const released = base();
  const served = base();
  const item = served.paths!['/things/{id}']!;
  change({
    document: served,
    item,
    post: item.post!,
    thing: served.components!.schemas!.Thing!,
    input: served.components!.schemas!.Input!,
  });
  return compare(released as unknown as JsonObject, served as unknown as JsonObject, today);
}

/** Puts a value at a place, whatever stood there. */
function put(object: Changeable, name: string, value: unknown): void {
  (object as Record<string, unknown>)[name] = value;
}

const breaking: Record<string, [Change, RegExp]> = {
  'an operation is gone': [({ item }) => delete item.delete, /operation is gone/],
  'another path': [({ document }) => put(document, 'paths', { '/stuff/{id}': document.paths!['/things/{id}'] }), /operation is gone/],
  'another operationId': [({ post }) => put(post, 'operationId', 'x'), /operationId was changeThing/],
  'a status is gone': [({ post }) => delete post.responses!['404'], /404 is not answered/],
  'a content type is gone': [
    ({ post }) => put(post.responses!['200']!, 'content', { 'text/plain': { schema: { type: 'string' } } }),
    /200 has no application\/json/,
  ],
  'a header is gone': [({ post }) => delete post.responses!['200']!.headers!['X-Request-Id'], /no header X-Request-Id/],
  'a header is not always there': [({ post }) => put(post.responses!['200']!.headers!['X-Request-Id']!, 'required', false), /not always/],
  'a field of an answer is gone': [({ thing }) => delete thing.properties!.note, /Thing\.note: the field is gone/],
  'a field of an answer is not always there': [
    ({ thing }) => put(thing, 'required', ['id']),
    /Thing\.status: the field is not always there/,
  ],
  'a field of an answer has another type': [
    ({ thing }) => put(thing.properties!, 'id', { type: 'integer' }),
    /Thing\.id: the type was string, is integer/,
  ],
  'a field of an answer may be null': [
    ({ thing }) => put(thing.properties!, 'id', { anyOf: [{ type: 'string' }, { type: 'null' }] }),
    /Thing\.id: the type was string, is null/,
  ],
  'a word of an answer is any text': [({ thing }) => put(thing.properties!, 'status', { type: 'string' }), /Thing\.status: any word/],
  'items of an answer have another type': [
    ({ thing }) => put(thing.properties!.tags!, 'items', { type: 'integer' }),
    /Thing\.tags\[\]: the type/,
  ],
  'other fields of an answer have another type': [
    ({ thing }) => put(thing.properties!.more!, 'additionalProperties', { type: 'integer' }),
    /Thing\.more\.\*: the type/,
  ],
  'other fields of an answer are anything': [({ thing }) => delete thing.properties!.more!.additionalProperties, /Thing\.more\.\*/],
  'a field of a request is not taken any more': [({ input }) => delete input.properties!.kind, /Input\.kind: the field is not taken/],
  'a field of a request is required': [({ input }) => put(input, 'required', ['name', 'kind']), /Input\.kind: the field is required/],
  'a new field of a request is required': [
    ({ input }) => {
      put(input.properties!, 'extra', { type: 'string' });
      put(input, 'required', ['name', 'extra']);
    },
    /Input\.extra: the field is required/,
  ],
  'a word of a request is not taken any more': [
    ({ input }) => put(input.properties!.kind!, 'enum', ['a']),
    /Input\.kind: "b" is not taken/,
  ],
  'text becomes words': [({ input }) => put(input.properties!.name!, 'enum', ['x']), /Input\.name: only some words/],
  'text may be less long': [({ input }) => put(input.properties!.name!, 'maxLength', 9), /Input\.name: maxLength is narrower/],
  'text must be longer': [({ input }) => put(input.properties!.name!, 'minLength', 2), /Input\.name: minLength is narrower/],
  'text must look in a way': [({ input }) => put(input.properties!.name!, 'pattern', '^x'), /Input\.name: pattern is narrower/],
  'text has a format': [({ input }) => put(input.properties!.name!, 'format', 'date'), /Input\.name: format was any, is date/],
  'a number has another bound': [({ input }) => put(input.properties!.size!, 'maximum', 99), /Input\.size: maximum is narrower/],
  'one of several forms is not taken any more': [
    ({ input }) => put(input.properties!, 'to', { type: 'string', format: 'date' }),
    /Input\.to: the type was array, is string/,
  ],
  'less items are taken': [
    ({ input }) => put((input.properties!.to as unknown as { anyOf: Changeable[] }).anyOf[1]!, 'maxItems', 4),
    /Input\.to: maxItems/,
  ],
  'values must be text': [
    ({ input }) => put(input.properties!.values!, 'additionalProperties', { type: 'string' }),
    /Input\.values\.\*: the type was any, is string/,
  ],
  'a keyword that is not known': [({ input }) => put(input.properties!.name!, 'contains', { type: 'string' }), /contains has changed/],
  'a parameter is not taken any more': [
    ({ post }) => (post.parameters as unknown as unknown[]).pop(),
    /query parameter limit is not taken/,
  ],
  'a parameter is required': [
    ({ post }) => put((post.parameters as unknown as Changeable[])[1]!, 'required', true),
    /limit is required now/,
  ],
  'a parameter is narrower': [
    ({ post }) => put((post.parameters as unknown as Changeable[])[1]!.schema!, 'maximum', 50),
    /limit: maximum is narrower/,
  ],
  'a new parameter is required': [
    ({ post }) => (post.parameters as unknown as unknown[]).push({ name: 'x', in: 'query', required: true }),
    /x is new and required/,
  ],
  'a credential is not taken any more': [({ post }) => put(post, 'security', [{ apiKey: [] }]), /credential session/],
  'a credential is needed': [({ item }) => put(item.delete!, 'security', [{ apiKey: [] }]), /needs a credential/],
  'a body is needed': [({ item }) => put(item.delete!, 'requestBody', { required: true, content: {} }), /body is required/],
  'a body is not taken any more': [({ post }) => delete post.requestBody, /no body any more/],
};

const harmless: Record<string, [Change, Finding['weight'] | undefined]> = {
  nothing: [() => undefined, undefined],
  'words for people': [({ thing }) => put(thing.properties!.id!, 'description', 'Its name.'), undefined],
  'a placeholder of another name': [
    ({ document }) => put(document, 'paths', { '/things/{thing}': document.paths!['/things/{id}'] }),
    undefined,
  ],
  'a new operation': [({ item }) => put(item, 'get', { operationId: 'getThing', responses: {} }), 'addition'],
  'a new field of an answer': [({ thing }) => put(thing.properties!, 'extra', { type: 'string' }), 'addition'],
  'a field of an answer is always there': [({ thing }) => put(thing, 'required', ['id', 'status', 'note']), undefined],
  'a new word of an answer': [({ thing }) => put(thing.properties!.status!, 'enum', ['new', 'done', 'lost']), 'warning'],
  'a new status of an error': [({ post }) => put(post.responses!, '409', { description: 'No.' }), 'addition'],
  'a new status of success': [({ post }) => put(post.responses!, '202', { description: 'Soon.' }), 'warning'],
  'a new field of a request': [({ input }) => put(input.properties!, 'extra', { type: 'string' }), 'addition'],
  'a new word of a request': [({ input }) => put(input.properties!.kind!, 'enum', ['a', 'b', 'c']), undefined],
  'a field of a request need not be given': [({ input }) => delete input.required, undefined],
  'text may be longer': [({ input }) => put(input.properties!.name!, 'maxLength', 11), undefined],
  'another form is taken too': [
    ({ input }) => put(input.properties!, 'name', { anyOf: [input.properties!.name, { type: 'null' }] }),
    undefined,
  ],
  'integers become numbers': [({ input }) => put(input.properties!.size!, 'type', 'number'), undefined],
  'a new parameter': [({ post }) => (post.parameters as unknown as unknown[]).push({ name: 'x', in: 'query', schema: {} }), 'addition'],
  'a new credential': [({ post }) => (post.security as unknown as unknown[]).push({ other: [] }), undefined],
  'an operation is deprecated': [({ post }) => Object.assign(post, { deprecated: true, 'x-sunset': '2027-12-01' }), 'addition'],
};

describe('breaking', () => {
  for (const [what, [change, says]] of Object.entries(breaking))
    test(what, () => {
      const found = after(change).filter(({ weight }) => weight === 'breaking');
      assert.ok(found.length > 0, 'it was let through');
      assert.match(found.map(({ where, what: why }) => `${where}: ${why}`).join('\n'), says);
    });
});

describe('not breaking', () => {
  for (const [what, [change, weight]] of Object.entries(harmless))
    test(what, () => {
      const found = after(change);
      assert.deepEqual([...new Set(found.map((one) => one.weight))], weight === undefined ? [] : [weight], JSON.stringify(found));
    });
});

describe('an operation that is deprecated', () => {
  const withSunset = (sunset: string): JsonObject => {
    const document = base();
    Object.assign(document.paths!['/things/{id}']!.delete!, { deprecated: true, 'x-sunset': sunset });
    return document as unknown as JsonObject;
  };
  const without = (): JsonObject => {
    const document = base();
    delete document.paths!['/things/{id}']!.delete;
    return document as unknown as JsonObject;
  };
  const weights = (released: JsonObject, served: JsonObject) => compare(released, served, today).map(({ weight }) => weight);
  test('may go when its sunset has come', () => assert.deepEqual(weights(withSunset('2026-11-21'), without()), ['addition']));
  test('may not go before', () => assert.deepEqual(weights(withSunset('2026-11-22'), without()), ['breaking']));
  test('may stay for longer', () => assert.deepEqual(weights(withSunset('2027-01-01'), withSunset('2027-06-01')), []));
  test('may not end earlier', () => assert.deepEqual(weights(withSunset('2027-06-01'), withSunset('2027-01-01')), ['breaking']));
});

test('what is served breaks nothing of the last release', async () =>
  assert.deepEqual(
    compare(await releasedDocument(), documentOfNow(), new Date().toISOString().slice(0, 10)).filter(({ weight }) => weight === 'breaking'),
    [],
  ));

test('no operation and no answer of ours can go unnoticed', () => {
  const released = documentOfNow();
  for (const [path, methods] of Object.entries(released.paths as Record<string, Record<string, { responses: JsonObject }>>)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      for (const status of [undefined, ...Object.keys(responses)]) {
        const served = structuredClone({ paths: { [path]: { [method]: methods[method] } }, components: {} }) as unknown as Changeable;
        if (status === undefined) delete served.paths![path]![method];
        else delete served.paths![path]![method]!.responses![status];
        const one = { paths: { [path]: { [method]: methods[method] } }, components: released.components } as unknown as JsonObject;
        const found = compare(one, { ...served, components: released.components } as unknown as JsonObject, today);
        assert.deepEqual(
          found.map(({ weight }) => weight),
          ['breaking'],
          `${method} ${path} ${status}`,
        );
      }
    }
  }
});

test('the released document is printed as JSON', () => {
  const document = documentOfNow();
  assert.deepEqual(JSON.parse(printed(document)), document);
});

test('the changelog has what is deprecated, and what is new in a release', () => {
  const changelog = '# Changelog\n\n<!-- deprecated -->\nold\n<!-- /deprecated -->\n';
  assert.equal(withDeprecated(changelog, []), '# Changelog\n\n<!-- deprecated -->\nNothing is deprecated.\n<!-- /deprecated -->\n');
  assert.throws(() => withDeprecated('# Changelog', []), /has no <!-- deprecated -->/);
  const finding = { weight: 'addition', where: 'GET /v1/x', what: 'a new operation' } as const;
  assert.match(withRelease(changelog, today, [finding]), /<!-- \/deprecated -->\n\n## 2026-11-21\n\n- GET \/v1\/x: a new operation\n$/);
  assert.equal(withRelease(changelog, today, []), changelog);
});
