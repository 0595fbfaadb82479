import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type IdPrefix, idToUuid, newId, newUuid, uuidAt, uuidTime, uuidToId } from './ids.ts';

const prefixes: IdPrefix[] = ['msg', 'rcp', 'evt', 'key', 'ten', 'usr', 'dom', 'req', 'bat', 'cap'];
const anyPrefix = fc.constantFrom(...prefixes);
const anyUuidV7 = fc.uuid({ version: 7 });
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

test('both forms of an id name the same thing', () => {
  fc.assert(
    fc.property(anyPrefix, anyUuidV7, (prefix, uuid) => {
      const id = uuidToId(prefix, uuid);
      assert.match(id, /^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
      assert.equal(idToUuid(prefix, id), uuid);
    }),
  );
});

test('the two forms sort alike, and by time', () => {
  fc.assert(
    fc.property(anyUuidV7, anyUuidV7, (left, right) => {
      assert.equal(left < right, uuidToId('msg', left) < uuidToId('msg', right));
      if (uuidTime(left).getTime() < uuidTime(right).getTime()) assert.ok(left < right);
    }),
  );
});

test('an id of 128 bits: the encoding agrees with plain arithmetic', () => {
  fc.assert(
    fc.property(anyUuidV7, (uuid) => {
      let value = BigInt(`0x${uuid.replaceAll('-', '')}`);
      let text = '';
      for (let index = 0; index < 26; index++) {
        text = ALPHABET[Number(value & 31n)] + text;
        value >>= 5n;
      }
      assert.equal(uuidToId('evt', uuid), `evt_${text}`);
    }),
  );
});

test('nothing but the canonical text is an id', () => {
  const id = newId('msg');
  assert.notEqual(idToUuid('msg', id), undefined);
  const wrong: Record<string, string> = {
    'another prefix': id.replace('msg_', 'rcp_'),
    'no prefix': id.slice(4),
    'upper case': `msg_${id.slice(4).toUpperCase()}`,
    'one short': id.slice(0, -1),
    'one long': `${id}0`,
    'a letter outside the alphabet': `${id.slice(0, -1)}u`,
    'an o for a zero': `msg_o${id.slice(5)}`,
    'more than 128 bits': `msg_8${id.slice(5)}`,
    'a character beyond ASCII': `${id.slice(0, -1)}é`,
    'another version of UUID': `msg_${'0'.repeat(26)}`,
    'a space before': ` ${id}`,
    'a dash for the underscore': id.replace('_', '-'),
    empty: '',
  };
  for (const [what, text] of Object.entries(wrong)) assert.equal(idToUuid('msg', text), undefined, what);
});

test('any text either is no id, or is the one text of its uuid', () => {
  const nearly = fc.string({ unit: fc.constantFrom(...ALPHABET, 'u', 'I', '_'), minLength: 26, maxLength: 26 });
  fc.assert(
    fc.property(fc.oneof(nearly, fc.string()), (text) => {
      const uuid = idToUuid('msg', `msg_${text}`);
      if (uuid !== undefined) assert.equal(uuidToId('msg', uuid), `msg_${text}`);
    }),
    { numRuns: 1000 },
  );
});

test('ids of one process only grow, and none comes twice', () => {
  const ids = Array.from({ length: 50_000 }, () => newId('msg'));
  for (let index = 1; index < ids.length; index++) assert.ok((ids[index] as string) > (ids[index - 1] as string));
  assert.equal(new Set(ids).size, ids.length);
});

test('ids still grow when the clock is set back', (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 10_000 });
  const before = newUuid();
  context.mock.timers.setTime(Date.now() - 5_000);
  const after = newUuid();
  assert.ok(after > before);
});

test('a new id contains the time', () => {
  const from = Date.now();
  const uuid = idToUuid('msg', newId('msg')) ?? '';
  const time = uuidTime(uuid).getTime();
  // A test before this one may have pushed the ids' clock ahead.
  assert.ok(time >= from - 1 && time <= Date.now() + 11_000);
});

test('uuidAt is the lowest id of its millisecond', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 47 }), anyUuidV7, (milliseconds, other) => {
      const bound = uuidAt(new Date(milliseconds / 1));
      if (Number.isNaN(new Date(milliseconds).getTime())) return;
      assert.equal(uuidTime(bound).getTime(), milliseconds);
      const same = `${bound.slice(0, 14)}7${other.slice(15)}`;
      assert.ok(bound <= same);
      if (milliseconds > 0) assert.ok(`${uuidAt(new Date(milliseconds - 1)).slice(0, 14)}7fff-bfff-ffffffffffff` < bound);
      assert.notEqual(uuidToId('msg', bound), '');
    }),
  );
});

test('a database id that is no UUIDv7 is refused', () => {
  for (const uuid of [
    '',
    'x',
    '0190a5f4-0000-4000-8000-000000000000',
    '0190A5F4-0000-7000-8000-000000000000',
    '0190a5f4-0000-7000-c000-000000000000',
  ]) {
    assert.throws(() => uuidToId('msg', uuid), RangeError);
    assert.throws(() => uuidTime(uuid), RangeError);
  }
});
