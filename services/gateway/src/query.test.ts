// What a query means, also where somebody plays with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { idPattern, parseQuery } from './query.ts';

for (const [text, expected, because] of [
  ['', {}, 'nothing'],
  ['limit=5&to=a%40b.c', { limit: '5', to: 'a@b.c' }, 'escapes'],
  ['a=1&a=2', { a: ['1', '2'] }, 'a name that stands twice'],
  ['metadata[order]=7&metadata[x%20y]=8', { metadata: { order: '7', 'x y': '8' } }, 'a group'],
  ['metadata[order]=7&metadata[order]=8', { metadata: { order: ['7', '8'] } }, 'a key that stands twice'],
  ['metadata=1&metadata[a]=2', { metadata: { a: '2' } }, 'a group beside a plain value'],
  ['x=%ZZ', { x: '%ZZ' }, 'a broken escape is text'],
  ['metadata[]=1', { 'metadata[]': '1' }, 'an empty key is an unknown name'],
  ['flag', { flag: '' }, 'a name alone'],
] as const) {
  test(`${text}: ${because}`, () => assert.deepEqual(parseQuery(text), expected));
}

test('no name reaches a prototype', () => {
  const query = parseQuery('__proto__[admin]=1&__proto__=x&constructor[prototype]=1&metadata[__proto__]=y');
  assert.equal(({} as Record<string, unknown>).admin, undefined);
  assert.equal(Object.getPrototypeOf(query), Object.prototype);
  assert.deepEqual(Object.keys(query), ['__proto__', 'constructor', 'metadata']);
});

test('the pattern of an id in the document takes what is an id, and nothing else', () => {
  const pattern = new RegExp(idPattern('msg'), 'u');
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyzilou';
  for (let count = 0; count < 500; count++) {
    const id = newId('msg');
    assert.match(id, pattern);
    const at = 4 + (count % 26);
    for (const character of alphabet) {
      const other = id.slice(0, at) + character + id.slice(at + 1);
      assert.equal(pattern.test(other), idToUuid('msg', other) !== undefined, other);
    }
  }
});
