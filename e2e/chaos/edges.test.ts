/** The proxies of the chaos run: what one process' cut does to its own connections, and to nobody else's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Edges } from './edges.ts';

test('a cut destroys the connections of one process, refuses new ones until it is over, and leaves the others alone', async () => {
  await using echo = await startEcho();
  await using edges = new Edges();
  const [mine, theirs] = await Promise.all(
    ['messaging-1', 'messaging-2'].map((from) => edges.wire({ from, to: 'postgres', address: echo.address })),
  );
  const [before, other] = [await open(mine as string), await open(theirs as string)];
  assert.equal(await ask(before, 'one'), 'one');

  const broke = once(before, 'error');
  const cut = await edges.cut('messaging-1');
  const [error] = (await broke) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
  await assert.rejects(open(mine as string), { code: 'ECONNREFUSED' });
  assert.equal(await ask(other, 'two'), 'two');

  await cut[Symbol.asyncDispose]();
  const after = await open(mine as string);
  assert.equal(await ask(after, 'three'), 'three');
  for (const socket of [after, other]) socket.destroy();
});

test('a cut of a server takes the connections of all its clients, and of two cuts the last one ends it', async () => {
  await using echo = await startEcho();
  await using edges = new Edges();
  const address = await edges.wire({ from: 'delivery-1', to: 'messaging-1', address: echo.address });
  const one = await edges.cut('messaging-1');
  const two = await edges.cut('delivery-1');
  await one[Symbol.asyncDispose]();
  await assert.rejects(open(address), { code: 'ECONNREFUSED' });
  await two[Symbol.asyncDispose]();
  (await open(address)).destroy();
});

test('the end of one side and a reset reach the other side as what they are', async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using edges = new Edges();
  const address = await edges.wire({ from: 'gateway-1', to: 'auth-1', address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  try {
    const [polite, [politePeer]] = await Promise.all([open(address), once(server, 'connection') as Promise<[Socket]>]);
    politePeer.on('end', () => politePeer.end('bye')).resume();
    polite.end('hello');
    assert.equal(String((await once(polite, 'data'))[0]), 'bye');

    const [rude, [rudePeer]] = await Promise.all([open(address), once(server, 'connection') as Promise<[Socket]>]);
    const reset = once(rudePeer, 'error');
    rude.resetAndDestroy();
    const [error] = (await reset) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
  } finally {
    server.close();
  }
});

async function startEcho(): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function open(address: string): Promise<Socket> {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return String((await once(socket, 'data'))[0]);
}
