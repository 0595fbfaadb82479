import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type LogLevel } from './logger.ts';

function capture(level: LogLevel = 'debug'): {
  logger: ReturnType<typeof createLogger>;
  lines: () => Record<string, unknown>[];
  text: () => string;
} {
  const written: string[] = [];
  const logger = createLogger({ service: 'test', level, destination: { write: (line) => void written.push(line) } });
  return { logger, lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>), text: () => written.join('') };
}

test('one JSON object per line, with level by name, time and service', () => {
  const { logger, lines } = capture();
  logger.info({ count: 3 }, 'hello');
  const [line] = lines();
  assert.deepEqual({ ...line, time: undefined }, { level: 'info', time: undefined, service: 'test', count: 3, msg: 'hello' });
  assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT/);
});

test('the level holds', () => {
  const { logger, lines } = capture('warn');
  logger.info('no');
  logger.child({ a: 1 }).debug('no');
  logger.warn('yes');
  assert.equal(lines().length, 1);
});

const forbidden = [
  'authorization',
  'Authorization',
  'cookie',
  'set-cookie',
  'key',
  'api_key',
  'apiKey',
  'private_key',
  'password',
  'newPassword',
  'secret',
  'rpcSecret',
  'token',
  'access_token',
  'html',
  'text',
  'content',
  'attachments',
  'body',
  'mime',
  'raw',
  'subject',
  'headers',
  'variables',
  'metadata',
  'databaseUrl',
  'sealKeys',
];
for (const name of forbidden) {
  test(`a field called ${name} never gets out, at any depth`, () => {
    const { logger, lines, text } = capture();
    logger.info({ [name]: 'MARKER' }, 'flat');
    logger.info({ deep: { deeper: [{ [name]: { inside: 'MARKER' } }] } }, 'deep');
    logger.child({ [name]: 'MARKER' }).info('child');
    logger.error({ err: Object.assign(new Error('e'), { [name]: 'MARKER' }) }, 'error');
    assert.equal(lines().length, 4);
    assert.doesNotMatch(text(), /MARKER/);
  });
}

test('bytes are shown by size', () => {
  const { logger, lines, text } = capture();
  logger.info({ chunk: Buffer.from('MARKER'), nested: { bytes: new Uint8Array(5) } }, 'x');
  assert.equal(lines()[0]?.chunk, '[6 bytes]');
  // M and A as numbers.
  assert.doesNotMatch(text(), /MARKER|77,("1":)?65/);
});

test('an error shows what it is, not the row that PostgreSQL quotes in it', () => {
  const { logger, lines, text } = capture();
  const database = Object.assign(new Error('duplicate key value violates unique constraint "x"'), {
    code: '23505',
    constraint: 'x',
    detail: 'Key (email)=(MARKER) already exists.',
    where: 'MARKER',
    parameters: ['MARKER'],
  });
  logger.error({ err: new Error('could not store', { cause: database }) }, 'failed');
  const [line] = lines();
  assert.ok(line);
  const err = line.err as { message: string; stack: string; cause: Record<string, unknown> };
  assert.equal(err.message, 'could not store');
  assert.match(err.stack, /logger\.test\.ts/);
  assert.equal(err.cause.code, '23505');
  assert.equal(err.cause.constraint, 'x');
  assert.doesNotMatch(text(), /MARKER/);
});

test('an error given alone is described too', () => {
  const { logger, lines } = capture();
  logger.error(Object.assign(new Error('alone'), { detail: 'MARKER' }));
  const [line] = lines();
  assert.ok(line);
  assert.equal((line.err as { message: string }).message, 'alone');
  assert.equal(line.msg, 'alone');
});

test('credentials inside texts are masked, and the line stays JSON', () => {
  const { logger, lines, text } = capture();
  logger.info({ url: 'postgres://maildoot:MARKERpass@db:5432/x' }, 'got mdsk_MARKER0123456789abcdef and Bearer MARKER.MARKER-MARKER');
  logger.info({ note: 'mdsk_test_MARKER0123456789' }, 'x');
  assert.equal(lines()[0]?.url, 'postgres://maildoot:[redacted]@db:5432/x');
  assert.equal(lines()[0]?.msg, 'got mdsk_[redacted] and Bearer [redacted]');
  assert.doesNotMatch(text(), /MARKER/);
});

test('odd values neither throw nor grow', () => {
  const { logger, lines } = capture();
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  logger.info(
    {
      circular,
      big: 2n ** 70n,
      long: Array.from({ length: 1000 }, (_, index) => index),
      map: new Map([[1, 2]]),
      nothing: null,
      missing: undefined,
    },
    'x',
  );
  const [line] = lines();
  assert.ok(line);
  assert.equal(line.big, (2n ** 70n).toString());
  assert.equal((line.long as unknown[]).length, 101);
  assert.equal(line.map, '[Map of 1]');
});
