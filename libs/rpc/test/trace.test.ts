import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { startTelemetry, tracer } from '@maildoot/runtime/telemetry';
import { context, trace } from '@opentelemetry/api';
import { echoClient, startEcho } from './echo-service.ts';

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  status: { code?: number };
  attributes: { key: string; value: { stringValue?: string } }[];
}

const CLIENT = 3;
const SERVER = 2;

async function collector(): Promise<AsyncDisposable & { url: string; spans: Span[]; text: () => string }> {
  const spans: Span[] = [];
  let text = '';
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      text += Buffer.concat(chunks).toString();
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
      spans.push(...body.resourceSpans.flatMap((resource) => resource.scopeSpans.flatMap((scope) => scope.spans)));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    text: () => text,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections()),
  };
}

test('the server’s span is a child of the client’s, which is a child of what the caller was doing; unary, stream and through a second service', async () => {
  await using otlp = await collector();
  {
    await using _ = await startTelemetry({ serviceName: 'test', otlpEndpoint: otlp.url });
    await using inner = await startEcho({
      say: (request) => {
        tracer('inner').startSpan('work').end();
        if (request.text === 'fail') throw new Error('MARKER');
        return { text: request.text };
      },
    });
    await using echo = await startEcho({
      say: async (request) => inner.client.say(request),
      count: async function* () {
        yield { text: 'a' };
        tracer('echo').startSpan('between frames').end();
        yield { text: 'b' };
      },
    });
    const root = tracer('gateway').startSpan('POST /v1/messages');
    await context.with(trace.setSpan(context.active(), root), async () => {
      await echo.client.say({ text: 'MARKER in the request' });
      for await (const frame of echo.client.count({ text: 'x' })) assert.ok(frame.text);
    });
    root.end();
    await using delivery = echoClient(inner.server.address, { self: 'delivery' });
    await assert.rejects(delivery.say({ text: 'fail' }));
  }
  const find = (name: string, kind?: number, parent?: Span): Span => {
    const found = otlp.spans.filter(
      (span) => span.name === name && (kind === undefined || span.kind === kind) && (!parent || span.parentSpanId === parent.spanId),
    );
    assert.equal(found.length, 1, `${name} under ${parent?.name}: ${found.length}`);
    return found[0] as Span;
  };
  const say = 'maildoot.test.v1.EchoService/Say';
  const count = 'maildoot.test.v1.EchoService/Count';
  const root = find('POST /v1/messages');
  const firstServer = find(say, SERVER, find(say, CLIENT, root));
  const secondServer = find(say, SERVER, find(say, CLIENT, firstServer));
  const work = find('work', undefined, secondServer);
  find('between frames', undefined, find(count, SERVER, find(count, CLIENT, root)));
  assert.equal(work.traceId, root.traceId);

  const failed = otlp.spans.filter((span) => span.traceId !== root.traceId && span.name === say);
  assert.deepEqual(
    failed.map((span) => span.status.code),
    [2, 2],
  );
  for (const span of failed) assert.equal(span.attributes.find(({ key }) => key === 'error.type')?.value.stringValue, 'INTERNAL_ERROR');
  assert.doesNotMatch(otlp.text(), /MARKER/, 'neither requests nor exceptions are in spans');
});
