import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { createLogger } from '../src/logger.ts';
import { contextFrom, counter, histogram, observableGauge, startTelemetry, traceparentOf, tracer } from '../src/telemetry.ts';

interface OtlpSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
}
interface OtlpBody {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { scope: { name: string }; spans: OtlpSpan[] }[];
  }[];
}

async function collector(): Promise<AsyncDisposable & { url: string; bodies: OtlpBody[] }> {
  const bodies: OtlpBody[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections()),
  };
}

// Named before anything is registered, as a service's telemetry.ts does.
const sent = counter('test', 'mails.sent', { description: 'Mails sent.' });
const took = histogram('test', 'mails.took', { unit: 'ms' });

test('without an endpoint and a port nothing is registered', async () => {
  await using telemetry = await startTelemetry({ serviceName: 'test' });
  assert.equal(telemetry.metricsUrl, undefined);
  const span = tracer('test').startSpan('nothing');
  assert.equal(span.isRecording(), false);
  assert.equal(traceparentOf(span), undefined);
  assert.equal(traceparentOf(ROOT_CONTEXT), undefined);
  sent.add(1);
  took.record(1);
  span.end();
});

test('spans go to the collector, parents follow contexts and traceparents, logs carry the trace', async () => {
  await using otlp = await collector();
  const lines: string[] = [];
  const logger = createLogger({ service: 'test', destination: { write: (line) => void lines.push(line) } });
  let traceparent: string | undefined;
  let traceId = '';
  {
    await using _ = await startTelemetry({ serviceName: 'messaging', otlpEndpoint: `${otlp.url}/` });
    const parent = tracer('messaging').startSpan('accept');
    traceId = parent.spanContext().traceId;
    traceparent = traceparentOf(parent);
    const withParent = trace.setSpan(context.active(), parent);
    assert.equal(traceparentOf(withParent), traceparent);
    await context.with(withParent, async () => {
      await Promise.resolve();
      tracer('messaging').startSpan('store').end();
      logger.info('inside');
    });
    tracer('delivery').startSpan('process', { kind: SpanKind.CONSUMER }, contextFrom(traceparent)).end();
    parent.end();
  }
  const scopes = otlp.bodies.flatMap((body) => body.resourceSpans).flatMap((resource) => resource.scopeSpans);
  const spans = Object.fromEntries(scopes.flatMap((scope) => scope.spans).map((span) => [span.name, span]));
  assert.deepEqual(Object.keys(spans).sort(), ['accept', 'process', 'store']);
  assert.equal(spans.store?.parentSpanId, spans.accept?.spanId);
  assert.equal(spans.process?.parentSpanId, spans.accept?.spanId);
  assert.equal(spans.process?.traceId, traceId);
  assert.equal(
    otlp.bodies[0]?.resourceSpans[0]?.resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue,
    'messaging',
  );
  assert.ok(scopes.some((scope) => scope.scope.name === 'maildoot.delivery'));
  assert.equal((JSON.parse(lines[0] ?? '{}') as { trace_id?: string }).trace_id, traceId);
});

test('metrics of instruments that were named earlier are served, also by a second registration', async () => {
  for (const round of [1, 2]) {
    await using telemetry = await startTelemetry({ serviceName: 'test', metricsPort: 0, metricsHost: '127.0.0.1' });
    using _gauge = observableGauge('test', 'queue.depth', (result) => result.observe(42));
    sent.add(round, { outcome: 'delivered' });
    took.record(12);
    const text = await (await fetch(telemetry.metricsUrl ?? '')).text();
    assert.match(text, new RegExp(`mails_sent_total\\{outcome="delivered".*\\} ${round}`));
    assert.match(text, /mails_took_count.* 1/);
    assert.match(text, /queue_depth.* 42/);
  }
});

test('a tracer follows a telemetry that is stopped and started again', async () => {
  for (const round of ['first', 'second']) {
    await using otlp = await collector();
    {
      await using _ = await startTelemetry({ serviceName: 'test', otlpEndpoint: otlp.url });
      tracer('test').startSpan(round).end();
    }
    const names = otlp.bodies.flatMap((body) =>
      body.resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans.map((span) => span.name))),
    );
    assert.deepEqual(names, [round]);
  }
});

test('a metrics port that is taken is told by the setting’s name', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  await assert.rejects(
    startTelemetry({ serviceName: 'test', metricsPort: port, metricsHost: '127.0.0.1' }),
    /^Error: METRICS_PORT: cannot listen on/,
  );
  taken.close();
});

test('a collector that is down does not keep anybody from stopping', async () => {
  const gone = await collector();
  await gone[Symbol.asyncDispose]();
  const start = performance.now();
  {
    await using _ = await startTelemetry({ serviceName: 'test', otlpEndpoint: gone.url });
    tracer('test').startSpan('lost').end();
  }
  assert.ok(performance.now() - start < 8_000);
});

test('broken traceparents are the root, good ones are not', () => {
  const good = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  assert.equal(traceparentOf(contextFrom(good)), good);
  assert.equal(trace.getSpanContext(contextFrom(good))?.isRemote, true);
  assert.equal(traceparentOf(contextFrom(`cc-${good.slice(3)}-future`)), good, 'a later version may have more fields');
  for (const bad of [
    undefined,
    '',
    'x',
    `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
    `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`,
    `ff-${good.slice(3)}`,
    `${good}-more`,
    good.toUpperCase(),
  ]) {
    assert.equal(contextFrom(bad), ROOT_CONTEXT, String(bad));
  }
});
