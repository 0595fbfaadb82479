// What is reported, and what never is: a marker in body, key, query, path and headers must not appear in logs or spans.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { createLogger } from '@maildoot/runtime/logger';
import { startTelemetry } from '@maildoot/runtime/telemetry';
import { captureLogs } from '@maildoot/testkit/logs';
import { startOtlpReceiver } from '@maildoot/testkit/otlp';
import { FakeServices } from './fake-services.ts';
import { startGateway } from './running-gateway.ts';

const marker = 'mArKeR7f3a';

test('requests are told apart by route and status, and nothing of their content gets out', async () => {
  const logs = captureLogs();
  await using collector = await startOtlpReceiver();
  await using services = await FakeServices.start();
  await using running = new AsyncDisposableStack();
  running.use(await startTelemetry({ serviceName: 'gateway', otlpEndpoint: collector.url }));
  const gateway = running.use(
    await startGateway(services, {}, createLogger({ service: 'gateway', level: 'debug', destination: logs.destination })),
  );
  const tenant = services.addTenant();
  const key = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_FULL });
  const message = { from: 'a@b.example', to: `${marker}@example.com`, subject: marker, text: marker, metadata: { [marker]: marker } };
  const traceId = '0af7651916cd43dd8448eb211c80319c';

  const sent = await gateway.call('POST', '/v1/messages', {
    key,
    body: message,
    headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01`, 'x-marker': marker, 'idempotency-key': marker },
  });
  await gateway.call('POST', '/v1/messages', { key, body: { ...message, [marker]: 1 } });
  await gateway.call('POST', '/v1/messages', { key, body: `{"subject": ${marker}` });
  await gateway.call('POST', '/v1/messages', { key, body: `{"subject": "${marker}${'x'.repeat(2_000_000)}"` });
  await gateway.call('GET', `/v1/messages?subject=${marker}&${marker}=1`, { key });
  await gateway.call('GET', `/v1/messages/${marker}`, { key });
  await gateway.call('GET', `/${marker}`);
  await gateway.call('GET', '/v1/messages', { headers: { authorization: `Bearer mdsk_${marker}` } });
  services.instead('getMessage', () => {
    throw new Error('behind us');
  });
  await gateway.call('GET', `/v1/messages/${tenant.messageId}?`, { key, expectFailure: true, headers: { 'x-marker': marker } });

  const line = await logs.waitForRecord((record) => record.request_id === sent.headers['x-request-id'], 'the line of the first request');
  const { method, route, status, tenant_id } = line;
  assert.deepEqual({ method, route, status, tenant_id }, { method: 'POST', route: '/v1/messages', status: 202, tenant_id: tenant.id });
  await logs.waitForRecord((record) => record.status === 500, 'the line of the failure');

  const spans = await collector.waitForTrace(
    (trace) => trace.some(({ name, traceId: id }) => name === 'POST /v1/messages' && id === traceId),
    'the span of the first request',
  );
  const server = spans.find(({ name }) => name === 'POST /v1/messages');
  assert.equal(server?.parentSpanId, 'b7ad6b7169203331');
  assert.deepEqual(server?.attributes, { 'http.request.method': 'POST', 'http.route': '/v1/messages', 'http.response.status_code': 202 });
  const client = spans.find(({ name, kind }) => kind === 'client' && name.endsWith('AcceptMessages'));
  assert.equal(client?.parentSpanId, server?.spanId);

  // What is held back until the end comes out now.
  await running.disposeAsync();
  for (const [where, text] of [
    ['logs', logs.text],
    ['spans', collector.text],
  ] as const) {
    assert.ok(text.length > 500, `${where} are empty`);
    assert.ok(
      !text.includes(marker),
      `the marker is in the ${where}: ${text.slice(Math.max(0, text.indexOf(marker) - 200), text.indexOf(marker) + 50)}`,
    );
    assert.ok(!text.includes(key), `the key is in the ${where}`);
  }
});
