// A webhook that is given up while its connection is made.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { post } from './post.ts';

test('one that is given up between the connection and the handshake rejects with the reason, and nothing else is left unhandled', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const given = new AbortController();
  const reason = new Error('the service stops');
  // Behind who waits for the connection, before who goes on with it.
  const giveUp = (message: unknown) =>
    (message as { socket: Socket }).socket.once('connect', () => queueMicrotask(() => given.abort(reason)));
  subscribe('net.client.socket', giveUp);
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    const noNames = async () => [];
    await assert.rejects(
      post(
        { url: `https://127.0.0.1:${port}/`, headers: {}, body: Buffer.from('{}'), timeoutMs: 5_000, signal: given.signal },
        { resolver: { resolve4: noNames, resolve6: noNames }, allowNetworks: ['127.0.0.0/8'] },
      ),
      reason,
    );
    // The socket that was closed says so within a turn or two.
    await delay(100);
    assert.deepEqual(unhandled, []);
  } finally {
    unsubscribe('net.client.socket', giveUp);
    process.off('unhandledRejection', note);
    server.close();
  }
});
