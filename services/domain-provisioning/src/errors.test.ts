// Which trouble is worth trying again, and which is a mistake of ours.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answering, errors } from './errors.ts';

const failing = (error: Error) => answering(async () => Promise.reject(error))(undefined, undefined);

test('a database that is away is UNAVAILABLE with a time to try again, and its words stay inside', async () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 10.0.0.5:5432'), { code: 'ECONNREFUSED' });
  await assert.rejects(failing(cause), (error: { code: string; retryAfterMs: number; message: string }) => {
    assert.equal(error.code, 'UNAVAILABLE');
    assert.ok(error.retryAfterMs > 0);
    assert.doesNotMatch(error.message, /10\.0\.0\.5/);
    return true;
  });
});

test('every other error stays what it is', async () => {
  for (const error of [new Error('a mistake'), errors.NOT_FOUND({ message: 'x' })]) await assert.rejects(failing(error), error);
});
