// Which bytes are a JSON value, and what the refusal says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from './errors.ts';
import { maxDepth, maxValues, parseJson } from './json-body.ts';

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

for (const [bytes, message, because] of [
  ['', /empty/, 'nothing'],
  ['{"a":1', /ends too early|line 1/, 'cut off'],
  ['{\n "a": 1,\n b: 2\n}', /line 3, column 2/, 'the place is named'],
  ['{"a":1}x', /line 1, column 8/, 'something behind it'],
  ["{'a':1}", /line 1/, 'JavaScript, not JSON'],
  [Buffer.from([0x22, 0xff, 0x22]), /UTF-8/, 'not UTF-8'],
  [Buffer.from('"é"', 'latin1'), /UTF-8/, 'latin1'],
  [nested(maxDepth + 1), /nested/, 'too deep'],
  [`[${'{},'.repeat(maxValues / 2)}{}]`, /more than/, 'too many values'],
  ['['.repeat(1_000_000), /nested/, 'far too deep'],
  ['{"a":'.repeat(100_000), /nested/, 'far too deep, with objects'],
] as const) {
  test(`${because}: INVALID_JSON`, () => {
    assert.throws(
      () => parseJson(Buffer.from(bytes)),
      (error) => error instanceof ApiError && error.code === 'INVALID_JSON' && message.test(error.message),
    );
  });
}

test('the refusal does not repeat the text', () => {
  assert.throws(
    () => parseJson(Buffer.from('{"key": SECRET-MARKER}')),
    (error) => error instanceof ApiError && !error.message.includes('MARKER'),
  );
});

test('a byte order mark is skipped', () => assert.deepEqual(parseJson(Buffer.from('\ufeff{"a":1}')), { a: 1 }));
test('the deepest that is allowed', () => assert.ok(parseJson(Buffer.from(nested(maxDepth)))));
test('the most values that are allowed', () =>
  assert.equal((parseJson(Buffer.from(`[${'0,'.repeat(maxValues - 1)}0]`)) as number[]).length, maxValues));
test('brackets and quotes inside strings do not count', () => {
  const text = JSON.stringify({ a: `${'['.repeat(100)}\\"${'{"'.repeat(100)}\\\\`, b: '"' });
  assert.deepEqual(parseJson(Buffer.from(text)), JSON.parse(text));
});
test('of two keys of the same name the last one counts', () => assert.deepEqual(parseJson(Buffer.from('{"a":1,"a":2}')), { a: 2 }));
test('a key named __proto__ changes nobody’s prototype', () => {
  const value = parseJson(Buffer.from('{"__proto__":{"admin":true}}')) as Record<string, unknown>;
  assert.equal(value.admin, undefined);
  assert.equal(({} as Record<string, unknown>).admin, undefined);
});

test('what JSON.stringify wrote is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseJson(Buffer.from(text)), JSON.parse(text));
    }),
  );
});
