// When a key ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { standing } from './credential.ts';

const now = new Date('2026-11-21T12:00:00Z');
const before = new Date(now.getTime() - 1);
const after = new Date(now.getTime() + 1);

for (const { revokedAt, expiresAt, expected } of [
  { revokedAt: null, expiresAt: null, expected: 'ok' },
  { revokedAt: null, expiresAt: after, expected: 'ok' },
  { revokedAt: null, expiresAt: now, expected: 'expired' },
  { revokedAt: null, expiresAt: before, expected: 'expired' },
  { revokedAt: before, expiresAt: null, expected: 'revoked' },
  { revokedAt: before, expiresAt: before, expected: 'revoked' },
]) {
  test(`revoked ${revokedAt?.toISOString() ?? 'never'}, expires ${expiresAt?.toISOString() ?? 'never'}: ${expected}`, () =>
    assert.equal(standing({ revokedAt, expiresAt }, now), expected));
}
