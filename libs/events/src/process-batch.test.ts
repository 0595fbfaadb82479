// Which failures pass by themselves: parking for one of these would lose a record to an outage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTransient } from './process-batch.ts';

const cases: [unknown, boolean, string][] = [
  [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), true, 'nobody listens'],
  [new Error('Connection terminated unexpectedly'), true, "pg's words for a lost connection, which have no code"],
  [new Error('outer', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }), true, 'wrapped'],
  [Object.assign(new Error('x'), { code: 'UNAVAILABLE' }), true, 'RpcError: nobody there'],
  [Object.assign(new Error('x'), { code: 'TIMEOUT' }), true, 'RpcError: too late'],
  [Object.assign(new Error('x'), { code: 'NOT_FOUND' }), false, 'RpcError: an answer'],
  [new TypeError('cannot read properties of undefined'), false, 'a bug'],
  ['text', false, 'not even an error'],
  [undefined, false, 'nothing'],
];

for (const [error, expected, reason] of cases) {
  test(`${reason}: ${expected ? 'passes' : 'does not pass'}`, () => {
    assert.equal(isTransient(error, {}), expected);
    assert.equal(isTransient(error, { isTransient: () => true }), true);
  });
}
