import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSealer, SealError } from './seal.ts';

const one = { id: 'k1', key: Buffer.alloc(32, 1) };
const two = { id: 'k2', key: Buffer.alloc(32, 2) };
const code = (wanted: string) => (error: unknown) => error instanceof SealError && error.code === wanted;

test('what was sealed opens, and only with what it belongs to', () => {
  const sealer = createSealer([one]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.string(), fc.string(), (plain, belongsTo, other) => {
      const blob = sealer.seal(plain, belongsTo);
      assert.deepEqual(new Uint8Array(sealer.open(blob, belongsTo)), plain);
      if (Buffer.from(other).compare(Buffer.from(belongsTo)) !== 0) assert.throws(() => sealer.open(blob, other), code('CORRUPT'));
    }),
  );
});

test('one changed byte anywhere, or a cut, is noticed', () => {
  const sealer = createSealer([one, two]);
  const blob = sealer.seal('a private key', 'ten_1');
  for (let index = 0; index < blob.length; index++) {
    const changed = Buffer.from(blob);
    changed[index] = (changed[index] ?? 0) ^ 1;
    assert.throws(() => sealer.open(changed, 'ten_1'), SealError, `byte ${index}`);
    assert.throws(() => sealer.open(blob.subarray(0, index), 'ten_1'), SealError, `cut at ${index}`);
  }
});

test('the first key seals, all open; a key that is gone is named', () => {
  const old = createSealer([one]).seal('x', 'a');
  const rotated = createSealer([two, one]);
  assert.equal(rotated.open(old, 'a').toString(), 'x');
  const fresh = rotated.seal('y', 'a');
  assert.equal(createSealer([two]).open(fresh, 'a').toString(), 'y');
  assert.throws(() => createSealer([two]).open(old, 'a'), code('UNKNOWN_KEY'));
});

test('another key under the same id does not open', () => {
  const blob = createSealer([one]).seal('x', 'a');
  assert.throws(() => createSealer([{ id: 'k1', key: two.key }]).open(blob, 'a'), code('CORRUPT'));
});

test('the same text seals to other bytes each time, and they do not contain it', () => {
  const sealer = createSealer([one]);
  const blobs = [sealer.seal('MARKER', 'a'), sealer.seal('MARKER', 'a')];
  assert.notDeepEqual(blobs[0], blobs[1]);
  for (const blob of blobs) assert.equal(blob.includes('MARKER'), false);
});

test('bad keys are refused', () => {
  assert.throws(() => createSealer([]), /at least one key/);
  assert.throws(() => createSealer([{ id: 'k', key: Buffer.alloc(31) }]), /31 bytes/);
  assert.throws(() => createSealer([one, one]), /two sealing keys/);
  assert.throws(() => createSealer([{ id: '', key: one.key }]), /an id/);
});
