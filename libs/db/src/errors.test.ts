// How errors of pg, the network and Prisma are told apart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommitOutcomeUnknown, isConnectionError, isTransientError, isUniqueViolation, sqlState, violatedConstraint } from './errors.ts';

const server = (code: string, extra: object = {}): Error => Object.assign(new Error('said'), { code, severity: 'ERROR', ...extra });
const network = (code: string, extra: object = {}): Error => Object.assign(new Error('failed'), { code, syscall: 'connect', ...extra });
const prisma = (code: string, cause?: object): Error =>
  Object.assign(new Error('prisma'), {
    code,
    ...(cause && { meta: { driverAdapterError: Object.assign(new Error('adapter'), { cause }) } }),
  });

const cases: { what: string; error: unknown; connection: boolean; transient: boolean; state?: string }[] = [
  { what: 'refused', error: network('ECONNREFUSED'), connection: true, transient: true },
  { what: 'all addresses refused', error: new AggregateError([network('ECONNREFUSED')]), connection: true, transient: true },
  { what: 'the unix socket is missing', error: network('ENOENT'), connection: true, transient: true },
  { what: 'some file is missing', error: network('ENOENT', { syscall: 'open' }), connection: false, transient: false },
  { what: 'pg: cut off', error: new Error('Connection terminated unexpectedly'), connection: true, transient: true },
  { what: 'pool: nothing free', error: new Error('timeout exceeded when trying to connect'), connection: true, transient: true },
  { what: 'wrapped by a caller', error: new Error('x', { cause: network('ECONNRESET') }), connection: true, transient: true },
  { what: 'COMMIT lost', error: new CommitOutcomeUnknown(), connection: true, transient: true },
  { what: 'server stops', error: server('57P01'), connection: true, transient: true, state: '57P01' },
  { what: 'too many connections', error: server('53300'), connection: true, transient: true, state: '53300' },
  { what: 'disk full', error: server('53100'), connection: true, transient: true, state: '53100' },
  { what: 'demoted to a standby', error: server('25006'), connection: true, transient: true, state: '25006' },
  { what: 'deadlock', error: server('40P01'), connection: false, transient: true, state: '40P01' },
  { what: 'statement timeout', error: server('57014'), connection: false, transient: true, state: '57014' },
  { what: 'duplicate', error: server('23505'), connection: false, transient: false, state: '23505' },
  { what: 'Prisma: not reachable', error: prisma('P1001'), connection: true, transient: true },
  { what: 'Prisma at its start', error: Object.assign(new Error('x'), { errorCode: 'P1001' }), connection: true, transient: true },
  {
    what: 'Prisma: closed, by the adapter',
    error: prisma('P2010', { kind: 'ConnectionClosed' }),
    connection: true,
    transient: true,
  },
  {
    what: 'Prisma: duplicate',
    error: prisma('P2002', { kind: 'UniqueConstraintViolation', originalCode: '23505', constraint: { index: 'api_key_hash_key' } }),
    connection: false,
    transient: false,
    state: '23505',
  },
  { what: 'EPIPE is no SQLSTATE though it has five characters', error: network('EPIPE'), connection: true, transient: true },
  { what: 'a bug', error: new TypeError('undefined is not a function'), connection: false, transient: false },
  { what: 'no error at all', error: undefined, connection: false, transient: false },
];

for (const { what, error, connection, transient, state } of cases) {
  test(`${what}: ${connection ? 'connection' : transient ? 'transient' : 'permanent'}`, () => {
    assert.equal(isConnectionError(error), connection);
    assert.equal(isTransientError(error), transient);
    assert.equal(sqlState(error), state);
  });
}

test('the violated constraint is known with pg and with Prisma', () => {
  const byPg = server('23505', { constraint: 'message_pkey' });
  assert.equal(violatedConstraint(byPg), 'message_pkey');
  assert.equal(isUniqueViolation(byPg, 'message_pkey'), true);
  assert.equal(isUniqueViolation(byPg, 'other'), false);
  const byPrisma = prisma('P2002', { originalCode: '23505', constraint: { index: 'api_key_hash_key' } });
  assert.equal(isUniqueViolation(byPrisma, 'api_key_hash_key'), true);
});

test('an error that is its own cause ends the search', () => {
  const error = new Error('round');
  error.cause = error;
  assert.equal(isConnectionError(error), false);
});
