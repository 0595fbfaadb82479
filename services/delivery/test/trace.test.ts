// The trace of one message through delivery, and what must never be in spans and logs.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startTelemetry } from '@maildoot/runtime/telemetry';
import { startOtlpReceiver } from '@maildoot/testkit/otlp';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { mxZone, openHouse } from './delivery.ts';

it('every span has the right parent, and content and addresses’ secrets stay out of spans and logs', async () => {
  const marker = 'MARKER-5f1c9a';
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const root = '00f067aa0ba902b7';
  await using collector = await startOtlpReceiver();
  const telemetry = await startTelemetry({ serviceName: 'delivery', otlpEndpoint: collector.url });
  const house = await openHouse();
  await using receiver = await startSmtpReceiver();
  try {
    mxZone(house.dns, 'example.test', [['mx1', '127.0.0.1']]);
    house.makeKey('shop.test');
    await using delivery = await house.startDelivery({ MX_PORT: String(receiver.port) });
    assert.ok(delivery);
    const accepted = { from: 'sender@shop.test', signingDomain: 'shop.test', subject: `${marker} subject`, text: `${marker} body` };
    const id = await house.accept({ ...accepted, to: ['accept@example.test'], traceparent: `00-${traceId}-${root}-01` });
    await house.waitForOutcomes(id, 1);
    // Error paths: refused, unreachable, without a key.
    mxZone(house.dns, 'down.test', [['mx1', '127.0.0.9']]);
    for (const more of [{ to: ['spam@example.test'] }, { to: ['a@down.test'] }, { to: ['a@example.test'], signingDomain: 'nokey.test' }]) {
      await house.waitForOutcomes(await house.accept({ ...accepted, ...more }), 1);
    }
  } finally {
    await house[Symbol.asyncDispose]();
    await telemetry[Symbol.asyncDispose]();
  }
  const spans = await collector.waitForTrace((all) => all[0]?.traceId === traceId && all.length >= 6, 'the message’s');
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const edges = spans.map((span) => `${byId.get(span.parentSpanId)?.name ?? (span.parentSpanId === root ? 'root' : '?')} → ${span.name}`);
  assert.deepEqual(edges.sort(), [
    'deliver → publish delivery.attempt-recorded.v1',
    'deliver → smtp',
    'process messaging.message-accepted.v1 → deliver',
    'publish delivery.attempt-recorded.v1 → process delivery.attempt-recorded.v1',
    'publish messaging.message-accepted.v1 → process messaging.message-accepted.v1',
    'root → publish messaging.message-accepted.v1',
  ]);
  assert.equal(spans.find((span) => span.name === 'smtp')?.kind, 'client');
  assert.equal(spans.find((span) => span.name === 'deliver')?.attributes['maildoot.outcome'], 'delivered');
  assert.ok(!collector.text.includes(marker), 'content in a span');
  assert.ok(!house.logs.text.includes(marker), 'content in a log');
  assert.ok(house.logs.text.includes('delivery: an attempt was recorded'));
});
