/** One client, several servers: calls spread over those that answer, and one that dies, hangs or was never there costs no call for long. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { RpcError } from '@maildoot/rpc/errors';
import { freePort } from '@maildoot/testkit/ports';
import { waitFor } from '@maildoot/testkit/wait';
import { echoClient, startEchoServer } from './echo-service.ts';

/** A server that answers with its own name. */
async function named(name: string, listen = '127.0.0.1:0') {
  const { server } = await startEchoServer({ say: () => ({ text: name }), server: { listen, drainTimeoutMs: 30_000 } });
  return server;
}

/** Where nobody listens. */
async function nobody(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}

/** A process that is stopped: the kernel takes its connections, and nobody ever answers on them. */
async function hangs(): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('calls go round over all addresses', async () => {
  await using one = await named('one');
  await using two = await named('two');
  await using client = echoClient(`${one.address},${two.address}`);
  const seen = new Set<string>();
  // The second connection may be ready a moment after the first has answered.
  await waitFor(async () => seen.add((await client.say({ text: 'x' })).text).size === 2, { what: 'both to answer' });
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.say({ text: 'x' })));
  assert.equal(answers.filter(({ text }) => text === 'one').length, 10);
  assert.equal(answers.filter(({ text }) => text === 'two').length, 10);
});

test('IPv6 addresses are a list too', async () => {
  await using one = await named('one', '[::1]:0');
  await using client = echoClient(`${one.address},${(await nobody()).replace('127.0.0.1', '[::1]')}`);
  assert.deepEqual(await client.say({ text: 'x' }), { text: 'one' });
});

test('an address that nobody listens at fails no call', async () => {
  await using one = await named('one');
  await failsNoCall(`${await nobody()},${one.address}`);
});

test('an address that nobody answers at fails no call', async () => {
  await using one = await named('one');
  await using other = await hangs();
  await failsNoCall(`${other.address},${one.address}`);
});

async function failsNoCall(address: string): Promise<void> {
  await using client = echoClient(address, { defaultDeadlineMs: 15_000 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.say({ text: 'x' })));
  assert.ok(answers.every(({ text }) => text === 'one'));
}

test('one server stops under load: no call fails, and it is used again when it is back', async () => {
  await using one = await named('one');
  const two = await named('two');
  await using client = echoClient(`${one.address},${two.address}`);
  const answers: string[] = [];
  const failures: unknown[] = [];
  let running = true;
  const callers = Array.from({ length: 8 }, async () => {
    while (running) {
      await client.say({ text: 'x' }).then(
        ({ text }) => answers.push(text),
        (error) => failures.push(error),
      );
    }
  });
  await waitFor(() => answers.includes('one') && answers.includes('two'), { what: 'both answer' });
  await two[Symbol.asyncDispose]();
  const before = answers.length;
  await waitFor(() => answers.length > before + 100, { what: 'the other goes on' });
  assert.ok(!answers.slice(before + 16).includes('two'));
  await using again = await named('two again', two.address);
  await waitFor(() => answers.includes('two again'), { what: 'it is used again' });
  running = false;
  await Promise.all(callers);
  assert.equal(again.address, two.address);
  assert.deepEqual(failures, []);
});

test('a server that hangs is left after seconds: calls that were in it fail, the next ones go to the other', async () => {
  await using one = await named('one');
  // A wire that can be held, to a second server.
  const two = await named('two');
  const sockets = new Set<Socket>();
  const wire = createServer((near) => {
    const far = new (near.constructor as typeof Socket)();
    far.connect(Number(two.address.split(':')[1]), '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined).on('close', () => to.destroy());
      from.pipe(to);
    }
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => wire.once('listening', resolve));
  const { port } = wire.address() as { port: number };
  await using client = echoClient(`127.0.0.1:${port},${one.address}`, { defaultDeadlineMs: 30_000 });
  try {
    const seen = new Set<string>();
    await waitFor(async () => seen.add((await client.say({ text: 'x' })).text).size === 2, { what: 'both to answer' });
    for (const socket of sockets) socket.unpipe().pause();
    const heldAt = performance.now();
    const answers = await Promise.allSettled([client.say({ text: 'x' }), client.say({ text: 'x' })]);
    const noticedAfterMs = performance.now() - heldAt;
    const failed = answers.filter((answer) => answer.status === 'rejected');
    assert.equal(failed.length, 1);
    assert.ok(failed[0]?.reason instanceof RpcError && failed[0].reason.code === 'UNAVAILABLE');
    assert.ok(noticedAfterMs < 20_000, `noticed after ${noticedAfterMs} ms`);
    const after = await Promise.all(Array.from({ length: 10 }, () => client.say({ text: 'x' })));
    assert.ok(after.every(({ text }) => text === 'one'));
  } finally {
    for (const socket of sockets) socket.destroy();
    wire.close();
    await two[Symbol.asyncDispose]();
  }
});
