/** One trace follows a message from the request to the record of its delivery; every edge has the parent it should. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReceivedSpan, startOtlpReceiver } from '@maildoot/testkit/otlp';
import { client, onCluster, startPlatform } from '../platform.ts';

/** Child → its parent. The names are what a reader of the trace sees. */
const EDGES: [string, string][] = [
  ['maildoot.messaging.v1.MessagingService/AcceptMessages (client)', 'POST /v1/messages (server)'],
  ['maildoot.messaging.v1.MessagingService/AcceptMessages (server)', 'maildoot.messaging.v1.MessagingService/AcceptMessages (client)'],
  ['publish messaging.message-accepted.v1 (producer)', 'maildoot.messaging.v1.MessagingService/AcceptMessages (server)'],
  ['process messaging.message-accepted.v1 (consumer)', 'publish messaging.message-accepted.v1 (producer)'],
  ['deliver (internal)', 'process messaging.message-accepted.v1 (consumer)'],
  ['smtp (client)', 'deliver (internal)'],
  ['publish delivery.attempt-recorded.v1 (producer)', 'deliver (internal)'],
  ['process delivery.attempt-recorded.v1 (consumer)', 'publish delivery.attempt-recorded.v1 (producer)'],
];

/** On the cluster every role is apart anyway; there each door is tried. */
const WAYS: { name: string; args: string[]; door: number }[] = [
  { name: 'as the platform is started', args: [], door: 0 },
  { name: 'with every role apart', args: onCluster ? [] : ['--split'], door: 1 },
];

for (const { name, args, door } of WAYS) {
  test(`a trace spans the way of a message, ${name}`, async () => {
    await using otlp = await startOtlpReceiver();
    await using platform = await startPlatform({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url }, args });
    const call = client(platform.gateways[door % platform.gateways.length] as string, platform.key);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const sent = await call(
      'POST',
      '/v1/messages',
      { from: 'a@shop.example', to: 'b@example.org', text: 'x' },
      { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
    );
    assert.equal(sent.status, 202);

    // Many processes export on their own time: wait for every span, in whatever order.
    const wanted = EDGES.map(([child]) => child);
    const complete = (trace: ReceivedSpan[]) =>
      trace[0]?.traceId === traceId && wanted.every((name) => trace.some((span) => named(span) === name));
    const spans = await otlp.waitForTrace(complete, `the spans ${wanted.join(', ')}`, 30_000);
    for (const [child, parent] of EDGES) {
      const span = spans.find((one) => named(one) === child);
      assert.ok(span, `no span ${child}; there are ${spans.map(named).join(', ')}`);
      const above = spans.find((one) => one.spanId === span.parentSpanId);
      assert.equal(above && named(above), parent, `parent of ${child}`);
    }
    assert.equal(spans.find((one) => named(one) === 'POST /v1/messages (server)')?.parentSpanId, 'b7ad6b7169203331');
  });
}

function named(span: { name: string; kind: string }): string {
  return `${span.name} (${span.kind})`;
}
