// Which headers name which key, and what counts as the same request.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idempotencyKeyOf, requestHash } from './idempotency-key.ts';
import type { Issue } from './issues.ts';

for (const [header, key, because] of [
  ['abc', 'abc', 'bare, as most clients send it'],
  ['"abc"', 'abc', 'a structured-field string'],
  ['"a\\"b\\\\c"', 'a"b\\c', 'escapes of a structured-field string'],
  ['"abc', '"abc', 'half a string is bare text'],
  ['a"b', 'a"b', 'a quote inside bare text'],
  ['x'.repeat(255), 'x'.repeat(255), 'the longest'],
] as const) {
  test(`${JSON.stringify(header.slice(0, 20))}: ${because}`, () => {
    const issues: Issue[] = [];
    assert.equal(idempotencyKeyOf(header, issues), key);
    assert.deepEqual(issues, []);
  });
}

for (const header of ['', '""', 'x'.repeat(256), `"${'x'.repeat(256)}"`, 'schlüssel', 'a\tb']) {
  test(`${JSON.stringify(header.slice(0, 20))} (${header.length}) is refused with an issue`, () => {
    const issues: Issue[] = [];
    assert.equal(idempotencyKeyOf(header, issues), undefined);
    assert.equal(issues[0]?.code, 'invalid_idempotency_key');
  });
}

test('no header is no key and no problem', () => {
  const issues: Issue[] = [];
  assert.equal(idempotencyKeyOf(undefined, issues), undefined);
  assert.deepEqual(issues, []);
});

test('the order of keys does not change the hash, any other difference does', () => {
  const hash = (text: string): string => requestHash(JSON.parse(text)).toString('hex');
  assert.equal(hash('{"a":1,"b":{"c":[1,2],"d":null}}'), hash('{ "b": {"d":null, "c":[1, 2]}, "a":1 }'));
  assert.notEqual(hash('{"a":[1,2]}'), hash('{"a":[2,1]}'));
  assert.notEqual(hash('{"a":"1"}'), hash('{"a":1}'));
  assert.notEqual(hash('{"__proto__":"x"}'), hash('{}'));
});

test('two JSON values have the same hash only when they are equal', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      let equal = true;
      try {
        assert.deepEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
      } catch {
        equal = false;
      }
      assert.equal(requestHash(JSON.parse(JSON.stringify(a))).equals(requestHash(JSON.parse(JSON.stringify(b)))), equal);
    }),
  );
});
