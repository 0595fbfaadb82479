// What is a tag list and what isn't.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTagList } from './tag-list.ts';

for (const [text, expected] of [
  ['v=DKIM1; k=rsa; p=AA', { v: 'DKIM1', k: 'rsa', p: 'AA' }],
  [' v = DKIM1 ;k=rsa;\tp=AA== ; ', { v: 'DKIM1', k: 'rsa', p: 'AA==' }],
  ['p=', { p: '' }],
] as const) {
  test(`${JSON.stringify(text)} is read`, () => assert.deepEqual(Object.fromEntries(parseTagList(text) ?? []), expected));
}

for (const [text, because] of [
  ['', 'nothing'],
  [';', 'nothing'],
  ['v=spf1 a ~all;;p=x', 'an empty part in the middle'],
  ['hello', 'no ='],
  ['v=DKIM1; p=A; p=B', 'a tag twice'],
  ['1a=b', 'not a tag name'],
] as const) {
  test(`${JSON.stringify(text)} isn't a tag list: ${because}`, () => assert.equal(parseTagList(text), undefined));
}

test('what is written comes back', () => {
  const value = fc.string({ unit: fc.constantFrom(...'abcXYZ019+/=:,') });
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/), value, { minKeys: 1, noNullPrototype: true }), (tags) => {
      const text = Object.entries(tags)
        .map(([name, content]) => `${name}=${content}`)
        .join('; ');
      assert.deepEqual(Object.fromEntries(parseTagList(text) ?? []), { ...tags });
    }),
  );
});
