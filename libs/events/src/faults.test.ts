// What a record is blamed for: parking one for trouble around it would lose it to an outage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TransactionAborted } from '@maildoot/db/errors';
import { type Fault, faultOf } from './faults.ts';
import { UnreadableEvent } from './log.ts';
import { RecordTooLargeError } from './outbox.ts';

const sql = (code: string) => Object.assign(new Error('x'), { code, severity: 'ERROR' });
const rpc = (status: string, retryable: boolean) =>
  Object.assign(new Error('x'), { name: 'RpcError', code: 'SOME_CODE', status, retryable });
const prisma = (name: string, more: object = {}) => Object.assign(new Error('x'), { name, ...more });

const cases: [unknown, Fault, string][] = [
  [sql('22021'), 'data', 'bytes that are no text'],
  [sql('22003'), 'data', 'a number that is too large'],
  [sql('23505'), 'data', 'a unique violation'],
  [sql('23502'), 'data', 'a null that may not be'],
  [sql('23514'), 'elsewhere', 'no partition, or a check'],
  [sql('42P01'), 'elsewhere', 'an undefined table'],
  [sql('42703'), 'elsewhere', 'an undefined column'],
  [sql('42501'), 'elsewhere', 'a right that is missing'],
  [sql('3F000'), 'elsewhere', 'a schema that is missing'],
  [sql('58030'), 'elsewhere', 'an I/O error'],
  [sql('XX001'), 'elsewhere', 'a damaged page'],
  [sql('54000'), 'elsewhere', 'a limit of the server'],
  [sql('55000'), 'elsewhere', 'an object that is not ready'],
  [sql('P0001'), 'elsewhere', 'raised by a trigger'],
  [sql('57014'), 'elsewhere', 'a statement that took too long'],
  [sql('40001'), 'elsewhere', 'two transactions in each other’s way'],
  [sql('ZZ999'), 'elsewhere', 'a state that nobody knows'],
  [new Error('outer', { cause: sql('42P01') }), 'elsewhere', 'an undefined table, wrapped'],
  [new Error('outer', { cause: sql('22021') }), 'data', 'bytes that are no text, wrapped'],
  [new TransactionAborted(), 'elsewhere', 'a transaction with a swallowed error'],
  [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'elsewhere', 'nobody listens'],
  [new Error('Connection terminated unexpectedly'), 'elsewhere', "pg's words for a lost connection, which have no code"],
  [
    new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }),
    'elsewhere',
    'a lost connection, wrapped',
  ],
  [Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' }), 'elsewhere', 'a disk that is full'],
  [new DOMException('x', 'TimeoutError'), 'elsewhere', 'too late'],
  [prisma('PrismaClientKnownRequestError', { code: 'P2021' }), 'elsewhere', "Prisma's missing table"],
  [prisma('PrismaClientInitializationError'), 'elsewhere', 'Prisma could not start'],
  [
    prisma('PrismaClientKnownRequestError', { code: 'P2002', meta: { driverAdapterError: { cause: { originalCode: '23505' } } } }),
    'data',
    "Prisma's unique violation",
  ],
  [rpc('UNAVAILABLE', true), 'elsewhere', 'RpcError: nobody there'],
  [rpc('PERMISSION_DENIED', false), 'elsewhere', 'RpcError: a secret that is wrong'],
  [rpc('INTERNAL', false), 'elsewhere', 'RpcError: a bug on the other side'],
  [rpc('INVALID_ARGUMENT', false), 'data', 'RpcError: the request, which is made from the record'],
  [rpc('INVALID_ARGUMENT', true), 'elsewhere', 'RpcError: said to pass'],
  [new RecordTooLargeError('t', 2_000_000), 'data', 'what it leads to is too large to tell'],
  [new UnreadableEvent('x'), 'data', 'the handler says so'],
  [new TypeError('cannot read properties of undefined'), 'handler', 'a bug'],
  [Object.assign(new TypeError('x'), { code: 'ERR_INVALID_ARG_TYPE' }), 'handler', 'a wrong call of Node'],
  [prisma('PrismaClientValidationError'), 'handler', 'a wrong call of Prisma'],
  [new Error('x'), 'handler', 'an error without a mark'],
  ['text', 'handler', 'not even an error'],
  [undefined, 'handler', 'nothing'],
];

for (const [error, expected, reason] of cases) test(`${reason}: ${expected}`, () => assert.equal(faultOf(error), expected));
