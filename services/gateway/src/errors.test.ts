// How services' errors are answered, and that nothing of a cause gets out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RpcError, rpcErrors, type StatusName } from '@maildoot/rpc/errors';
import { ApiError, apiErrorFrom, errorBody, errorTable } from './errors.ts';

const rpc = (code: string, status: StatusName, retryAfterMs?: number): RpcError =>
  new RpcError(
    code,
    { status, retryable: false },
    { message: 'said by the service', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  );

for (const [error, code, status, because] of [
  [rpc('DOMAIN_NOT_VERIFIED', 'FAILED_PRECONDITION'), 'DOMAIN_NOT_VERIFIED', 403, 'a code of the table keeps its name'],
  [rpc('SOMETHING_NEW', 'FAILED_PRECONDITION'), 'CONFLICT', 409, 'a code that we don’t know goes by its status'],
  [rpc('INVALID_REQUEST', 'INVALID_ARGUMENT'), 'VALIDATION_ERROR', 400, 'a code that we don’t know goes by its status'],
  [rpc('__proto__', 'NOT_FOUND'), 'NOT_FOUND', 404, 'no name of Object’s is a code'],
  [rpcErrors.UNAVAILABLE({ message: 'm' }), 'UNAVAILABLE', 503, 'the peer is down'],
  [rpcErrors.TIMEOUT({ message: 'm' }), 'TIMEOUT', 504, 'the peer is slow'],
  [rpcErrors.CALLER_NOT_ALLOWED({ message: 'm' }), 'INTERNAL_ERROR', 500, 'our own identity was refused'],
  [rpcErrors.DEADLINE_REQUIRED({ message: 'm' }), 'INTERNAL_ERROR', 500, 'our own call was wrong'],
  [new TypeError('secret detail'), 'INTERNAL_ERROR', 500, 'a mistake of ours'],
  ['a text', 'INTERNAL_ERROR', 500, 'whatever was thrown'],
] as const) {
  test(`${code}: ${because}`, () => {
    const answered = apiErrorFrom(error);
    assert.equal(answered.code, code);
    assert.equal(answered.status, status);
  });
}

test('a 500 shows nothing of its cause', () => {
  const body = errorBody(apiErrorFrom(new Error('password=hunter2 at db.internal')), 'req_1', 'http://x');
  assert.doesNotMatch(JSON.stringify(body), /hunter2|db\.internal/);
  const inner = errorBody(apiErrorFrom(rpc('INTERNAL_ERROR', 'INTERNAL')), 'req_1', 'http://x');
  assert.doesNotMatch(JSON.stringify(inner), /said by the service/);
});

test('Retry-After is in whole seconds, at least one, and only where a retry makes sense', () => {
  assert.equal(apiErrorFrom(rpc('UNAVAILABLE', 'UNAVAILABLE', 2100)).headers['Retry-After'], '3');
  assert.equal(apiErrorFrom(rpc('IDEMPOTENCY_IN_PROGRESS', 'ABORTED')).headers['Retry-After'], '1');
  assert.equal(apiErrorFrom(rpc('CONFLICT', 'ABORTED', 5000)).headers['Retry-After'], undefined);
});

test('what is not there reads the same whoever says so', () => {
  assert.equal(apiErrorFrom(rpc('NOT_FOUND', 'NOT_FOUND')).message, apiErrorFrom(rpc('MAIL_NOT_FOUND', 'NOT_FOUND')).message);
});

test('issues are left out where there are none, and every code has its place in the reference', () => {
  const body = errorBody(new ApiError('NOT_FOUND', 'm'), 'req_1', 'https://api.example');
  assert.deepEqual(body, {
    error: { code: 'NOT_FOUND', message: 'm', request_id: 'req_1', docs: 'https://api.example/docs/errors#NOT_FOUND' },
  });
});

test('every status of the table is an error of HTTP', () => {
  for (const { status } of Object.values(errorTable)) assert.ok(status >= 400 && status <= 504);
});
