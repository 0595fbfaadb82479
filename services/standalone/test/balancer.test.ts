/** The balancer of the cluster, with gateways that say they are ready or not, die and hang. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { type Balancer, type BalancerOptions, startBalancer } from '../src/balancer.ts';

interface Gateway extends AsyncDisposable {
  name: string;
  host: string;
  port: number;
  server: Server;
  /** What /readyz says. */
  ready: boolean;
  /** Takes connections and answers nothing, as a stopped process. */
  hang(): void;
  /** Has no time for probes, and answers what it was asked before. */
  drip(): void;
}

/** Answers every request with its name and the caller's address. */
async function gateway(name: string, port = 0): Promise<Gateway> {
  let hangs = false;
  let drips = false;
  const server = createServer((request, response) => {
    if (hangs) return;
    if (request.url === '/readyz') {
      if (!drips) response.writeHead(self.ready ? 200 : 503).end();
      return;
    }
    if (request.url === '/slow') {
      const dripping = setInterval(() => drips && response.write('.'), 20);
      response.on('close', () => clearInterval(dripping)).write('begun');
      return;
    }
    response.end(`${name} ${request.socket.remoteAddress}`);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const self: Gateway = {
    name,
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    server,
    ready: true,
    hang: () => {
      hangs = true;
    },
    drip: () => {
      drips = true;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}

/** Patient, but where a test is about silence. */
function balance(backends: BalancerOptions['backends'], said: string[] = [], probeTimeoutMs = 20_000): Promise<Balancer> {
  return startBalancer({ host: '127.0.0.1', port: 0, backends, say: (text) => said.push(text), probeEveryMs: 20, probeTimeoutMs });
}

/** One request on a connection of its own. */
async function ask(port: number, path = '/', localAddress = '127.0.0.1'): Promise<string> {
  const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, localAddress, timeout: 5_000 }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return Buffer.concat(await response.toArray()).toString();
}

const until = (what: string, holds: () => Promise<boolean> | boolean) => waitFor(holds, { what, intervalMs: 5 });

const both = async (port: number) =>
  new Set((await Promise.all(Array.from({ length: 4 }, () => ask(port)))).map((text) => text[0])).size === 2;

test('connections go round, and gateways see who calls', async () => {
  await using a = await gateway('a');
  await using b = await gateway('b');
  await using balancer = await balance([a, b]);
  await until('both are used', () => both(balancer.port));
  const answers = [];
  for (let number = 0; number < 10; number++) answers.push(await ask(balancer.port, '/', '127.0.0.7'));
  assert.equal(answers.filter((text) => text === 'a 127.0.0.7').length, 5);
  assert.equal(answers.filter((text) => text === 'b 127.0.0.7').length, 5);
});

test('one that says it is not ready gets no new connections, keeps those it has, and is used again later', async () => {
  await using a = await gateway('a');
  await using b = await gateway('b');
  const said: string[] = [];
  await using balancer = await balance([a, b], said);
  await until('both are used', () => both(balancer.port));
  const open = connect(balancer.port, '127.0.0.1');
  const other = connect(balancer.port, '127.0.0.1');
  for (const socket of [open, other]) socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await Promise.all([open, other].map((socket) => once(socket, 'data')));
  b.ready = false;
  await until('b is left out', () => said.includes('balancer: b is not ready, left out'));
  for (let number = 0; number < 4; number++) assert.match(await ask(balancer.port), /^a/);
  assert.ok(!open.destroyed && !other.destroyed && !open.readableEnded && !other.readableEnded);
  b.ready = true;
  await until('both are used', () => both(balancer.port));
  assert.ok(said.includes('balancer: b is ready again'));
  open.destroy();
  other.destroy();
});

test('a connection to one that is gone goes to the other, and what was open on it ends', async () => {
  await using a = await gateway('a');
  const b = await gateway('b');
  // Looked at once, and then not for the length of the test: the connection itself finds out.
  await using balancer = await startBalancer({ host: '127.0.0.1', port: 0, backends: [a, b], say() {}, probeEveryMs: 60_000 });
  await until('both are used', () => both(balancer.port));
  const sockets = [connect(balancer.port, '127.0.0.1'), connect(balancer.port, '127.0.0.1')];
  for (const socket of sockets) socket.on('error', () => {}).write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await Promise.all(sockets.map((socket) => once(socket, 'data')));
  const closed = Promise.race(sockets.map((socket) => once(socket, 'close')));
  await b[Symbol.asyncDispose]();
  await closed;
  assert.equal(sockets.filter((socket) => socket.destroyed).length, 1);
  for (let number = 0; number < 4; number++) assert.match(await ask(balancer.port), /^a/);
  for (const socket of sockets) socket.destroy();
});

test('one that hangs is left out, and whoever waited on it is let go', async () => {
  await using a = await gateway('a');
  await using b = await gateway('b');
  const said: string[] = [];
  await using balancer = await balance([a, b], said, 500);
  await until('both are used', () => both(balancer.port));
  b.hang();
  const answers = await Promise.allSettled([ask(balancer.port), ask(balancer.port)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await until('b is left out', () => said.includes('balancer: b is silent, left out'));
  for (let number = 0; number < 4; number++) assert.match(await ask(balancer.port), /^a/);
});

test('one that answers others but no probe is busy, and keeps its connections', async () => {
  await using a = await gateway('a');
  const said: string[] = [];
  await using balancer = await balance([a], said, 500);
  await until('a answers', async () => (await ask(balancer.port).catch(() => '')).startsWith('a'));
  const open = connect(balancer.port, '127.0.0.1');
  open.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(open, 'data');
  a.drip();
  // Three probes that time out, one after the other; a single one more would be too many.
  const end = performance.now() + 2_250;
  const closed = once(open, 'close');
  open.on('end', () => open.destroy());
  while (performance.now() < end && !open.destroyed) await Promise.race([once(open, 'data'), closed]);
  assert.ok(!open.destroyed);
  assert.deepEqual(said, []);
  open.destroy();
});

test('with none there, a connection is closed at once', async () => {
  const gone = createTcpServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  await using balancer = await balance([{ name: 'a', host: '127.0.0.1', port }]);
  await assert.rejects(ask(balancer.port), /socket hang up|ECONNRESET/);
});

test('half of a connection may be closed, and megabytes pass unchanged in both directions', async () => {
  // Sends back what it got, once the other side has said that this was all.
  const echo = createTcpServer({ allowHalfOpen: true }, (socket: Socket) => {
    void socket.toArray().then((chunks: Buffer[]) => socket.end(Buffer.concat(chunks)));
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  await using balancer = await balance([{ name: 'a', host: '127.0.0.1', port: (echo.address() as AddressInfo).port }]);
  const sent = Buffer.alloc(5_000_000, 'maildoot');
  const socket = connect({ host: '127.0.0.1', port: balancer.port, allowHalfOpen: true });
  socket.end(sent);
  const got = Buffer.concat(await socket.toArray());
  assert.ok(got.equals(sent));
  echo.close();
});

test('closed, it takes no new connection and lets the open ones end by themselves', async () => {
  await using a = await gateway('a');
  await using balancer = await balance([a]);
  await until('a answers', async () => (await ask(balancer.port).catch(() => '')).startsWith('a'));
  const open = connect(balancer.port, '127.0.0.1');
  await once(open, 'connect');
  balancer.close();
  await assert.rejects(ask(balancer.port), /ECONNREFUSED/);
  open.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.match(Buffer.concat(await open.toArray()).toString(), /a 127\.0\.0\.1/);
});
