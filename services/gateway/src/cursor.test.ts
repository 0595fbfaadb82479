// A cursor comes back as it went out, and nothing else is one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import fc from 'fast-check';
import { cursorAfter, idBehindCursor } from './cursor.ts';

test('a cursor leads back to its id', () => {
  for (const prefix of ['msg', 'key', 'dom', 'cap'] as const) {
    const id = newId(prefix);
    assert.equal(idBehindCursor(prefix, cursorAfter(prefix, id)), id);
  }
});

test('a cursor of another list is none', () => assert.equal(idBehindCursor('key', cursorAfter('msg', newId('msg'))), undefined));

test('arbitrary text is no cursor', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.equal(idBehindCursor('msg', text), undefined)));
});

test('a changed cursor is refused or leads to a well-formed id', () => {
  const cursor = cursorAfter('msg', newId('msg'));
  fc.assert(
    fc.property(fc.nat(cursor.length - 1), fc.constantFrom(...'ABCabc019-_=. '), (at, character) => {
      const id = idBehindCursor('msg', cursor.slice(0, at) + character + cursor.slice(at + 1));
      if (id !== undefined) assert.match(id, /^msg_[0-9a-z]{26}$/);
    }),
  );
});
