import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { runLoad } from './load.ts';

const request = {
  host: 'bench',
  path: '/v1/messages',
  from: 'a@shop.example',
  to: 'b@recipient.example',
  textBytes: 2048,
  batch: 0,
  run: 'r',
};

async function listening(server: Server): Promise<{ url: string } & AsyncDisposable> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

test('every request has a body and a key of its own, and what is not a 202 is counted', async () => {
  const bodies = new Set<string>();
  const keys = new Set<string>();
  let received = 0;
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    JSON.parse(text);
    bodies.add(text);
    keys.add(String(incoming.headers['idempotency-key']));
    received++;
    response.writeHead(received % 10 === 0 ? 503 : 202, { 'content-type': 'application/json' }).end('{}');
  });
  await using running = await listening(server);
  const load = await runLoad({
    mode: 'closed',
    url: running.url,
    connections: 4,
    warmUpSeconds: 0,
    seconds: 60,
    count: 1_000,
    request: { ...request, idempotencyKeys: true },
  });
  assert.ok(load.sent >= 1_000 && load.sent <= 1_004);
  assert.equal(bodies.size, load.sent);
  assert.equal(keys.size, load.sent);
  assert.equal(load.failed, Math.floor(load.sent / 10));
  assert.equal(load.others['503'], load.failed);
});

test('open loop: a server that stalls shows in the latency of all requests that were due meanwhile', async () => {
  const stallMs = 400;
  let stalledUntilMs = 0;
  let answered = 0;
  const server = createServer((incoming, response) => {
    incoming.resume();
    answered++;
    if (answered === 50) stalledUntilMs = performance.now() + stallMs;
    const waitMs = Math.max(0, stalledUntilMs - performance.now());
    setTimeout(() => response.writeHead(202, { 'content-length': 2 }).end('{}'), waitMs);
  });
  await using running = await listening(server);
  const load = await runLoad({
    mode: 'open',
    url: running.url,
    connections: 1,
    rate: 200,
    warmUpSeconds: 0,
    seconds: 2,
    request: { ...request, idempotencyKeys: true },
  });
  assert.ok(load.sent > 250, `the schedule was left: ${load.sent} requests`);
  // One connection: closed loop, a single request would have seen the stall. Here every fifth was due while it lasted.
  assert.ok(load.latency.max >= stallMs * 0.9);
  assert.ok(load.latency.p90 >= stallMs * 0.2, `p90 ${load.latency.p90}`);
});
