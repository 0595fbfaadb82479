// The OTLP receiver and the captured logs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { captureLogs } from './logs.ts';
import { startOtlpReceiver } from './otlp.ts';

const request = (traceId: string) => ({
  resourceSpans: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'gateway' } }] },
      scopeSpans: [
        {
          spans: [
            {
              traceId,
              spanId: 'b'.repeat(16),
              parentSpanId: 'c'.repeat(16),
              name: 'POST /v1/messages',
              kind: 2,
              startTimeUnixNano: '1700000000000000000',
              endTimeUnixNano: '1700000000012500000',
              attributes: [
                { key: 'n', value: { intValue: '3' } },
                { key: 'list', value: { arrayValue: { values: [{ stringValue: 'x' }, { boolValue: true }] } } },
              ],
              status: { code: 2, message: 'no' },
            },
          ],
        },
      ],
    },
  ],
});

test('keeps spans, plain and compressed, and every body', async () => {
  await using receiver = await startOtlpReceiver();
  const headers = { 'content-type': 'application/json' };
  await fetch(`${receiver.url}/v1/traces`, { method: 'POST', headers, body: JSON.stringify(request('a'.repeat(32))) });
  const body = gzipSync(JSON.stringify(request('d'.repeat(32))));
  await fetch(`${receiver.url}/v1/traces`, { method: 'POST', headers: { ...headers, 'content-encoding': 'gzip' }, body });
  await fetch(`${receiver.url}/v1/metrics`, { method: 'POST', headers, body: '{"marker":1}' });
  const [span] = await receiver.waitForTrace((spans) => spans[0]?.traceId.startsWith('d') === true, 'the second');
  assert.deepEqual(span, {
    service: 'gateway',
    name: 'POST /v1/messages',
    traceId: 'd'.repeat(32),
    spanId: 'b'.repeat(16),
    parentSpanId: 'c'.repeat(16),
    kind: 'server',
    attributes: { n: 3, list: ['x', true] },
    events: [],
    links: [],
    status: 'error',
    statusMessage: 'no',
    startedAt: new Date(1_700_000_000_000),
    durationMs: 12.5,
  });
  assert.equal(receiver.spans.length, 2);
  assert.match(receiver.text, /marker/);
  const refused = await fetch(`${receiver.url}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: 'x',
  });
  assert.equal(refused.status, 400);
});

test('captured logs are pino records and their text', async () => {
  const logs = captureLogs();
  const logger = pino({ base: null }, logs.destination);
  logger.info({ n: 1 }, 'one');
  const waiting = logs.waitForRecord((record) => record.msg === 'two', 'two');
  logger.warn('two');
  assert.equal((await waiting).level, 40);
  assert.deepEqual(
    logs.records.map(({ msg, n }) => [msg, n]),
    [
      ['one', 1],
      ['two', undefined],
    ],
  );
  assert.match(logs.text, /"msg":"one"/);
});
