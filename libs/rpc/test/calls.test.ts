import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { createRpcClient, onBehalfOf } from '@maildoot/rpc/client';
import { defineErrors, RpcError } from '@maildoot/rpc/errors';
import type { RpcCall } from '@maildoot/rpc/server';
import { createHealth } from '@maildoot/runtime/health';
import { freePort } from '@maildoot/testkit/ports';
import { waitFor } from '@maildoot/testkit/wait';
import { CallerTokenSource } from '../src/caller-token.ts';
import { healthDefinition, ServingStatus } from '../src/health-service.ts';
import { type Answer, EchoService, echoClient, NewerEchoService, SECRET, startEcho, startEchoServer } from './echo-service.ts';

const errors = defineErrors({
  DOMAIN_NOT_VERIFIED: { status: 'FAILED_PRECONDITION', retryable: false },
  BUSY: { status: 'RESOURCE_EXHAUSTED', retryable: true },
});

const failsWith =
  (code: string, status?: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.code, code);
    if (status !== undefined) assert.equal(error.status, status);
    return true;
  };

async function collect<T>(frames: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

test('a call carries request, caller, tenant, request id and deadline', async () => {
  let seen: RpcCall | undefined;
  await using echo = await startEcho({
    say: (request, call) => {
      seen = call;
      return { text: request.text.toUpperCase() };
    },
  });
  const before = Date.now();
  assert.deepEqual(await echo.client.say({ text: 'hällo' }, { tenantId: 'ten_1', requestId: 'req_1', deadlineMs: 20_000 }), {
    text: 'HÄLLO',
  });
  assert.ok(seen);
  assert.deepEqual([seen.caller, seen.tenantId, seen.requestId], ['gateway', 'ten_1', 'req_1']);
  assert.ok(seen.deadline.getTime() >= before + 10_000 && seen.deadline.getTime() <= Date.now() + 20_000);
  await echo.client.say({ text: 'x' });
  assert.deepEqual([seen.tenantId, seen.requestId], ['', '']);
});

test('a server stream gives its frames in order, also none', async () => {
  await using echo = await startEcho();
  assert.deepEqual(await collect(echo.client.count({ text: 'f', count: 3 })), [{ text: 'f0' }, { text: 'f1' }, { text: 'f2' }]);
  assert.deepEqual(await collect(echo.client.count({ text: 'f', count: 0 })), []);
});

test('messages of 48 MB pass both ways; over 64 MB is refused by name', async () => {
  await using echo = await startEcho({ client: { defaultDeadlineMs: 120_000 } });
  const big = 'x'.repeat(48 * 1024 * 1024);
  assert.equal((await echo.client.say({ text: big })).text.length, big.length);
  await assert.rejects(echo.client.say({ text: 'x'.repeat(65 * 1024 * 1024) }), failsWith('MESSAGE_TOO_LARGE'));
});

test('a unix socket works as an address', async () => {
  const path = join(tmpdir(), `maildoot-rpc-${process.pid}-${Date.now()}.sock`);
  await using echo = await startEcho({ server: { listen: `unix:${path}` } });
  assert.equal(echo.server.address, `unix:${path}`);
  assert.deepEqual(await echo.client.say({ text: 'x' }), { text: 'x' });
  await rm(path, { force: true });
});

test('a port that is taken is told with the address', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  await assert.rejects(startEchoServer({ server: { listen: `127.0.0.1:${port}` } }), new RegExp(`cannot listen on 127.0.0.1:${port}`));
  taken.close();
});

// ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const kind of ['unary', 'stream'] as const) {
  test(`${kind}: an error comes over with code, status, message, issues and retry time, and without its cause`, async () => {
    const fail = (): never => {
      throw errors.BUSY({
        message: 'Too much – später.',
        issues: [{ path: 'to[1].email', code: 'invalid_email', message: 'no @' }],
        retryAfterMs: 1500,
        cause: new Error('MARKER'),
      });
    };
    await using echo = await startEcho({
      say: fail,
      count: async function* () {
        yield { text: 'one' };
        fail();
      },
    });
    const frames: Answer[] = [];
    await assert.rejects(
      async () => {
        if (kind === 'unary') await echo.client.say({ text: 'x' });
        else for await (const frame of echo.client.count({ text: 'x' })) frames.push(frame);
      },
      (error: unknown) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual(
          [error.code, error.status, error.message, error.retryAfterMs, error.retryable, error.remote],
          ['BUSY', 'RESOURCE_EXHAUSTED', 'Too much – später.', 1500, true, true],
        );
        assert.deepEqual(error.detail.issues, [{ path: 'to[1].email', code: 'invalid_email', message: 'no @' }]);
        return true;
      },
    );
    if (kind === 'stream') assert.deepEqual(frames, [{ text: 'one' }]);
    await waitFor(() => echo.log.text().includes('MARKER'), { what: 'the cause is in the log' });
  });

  test(`${kind}: an unexpected exception is INTERNAL_ERROR, and nothing of it is on the wire`, async () => {
    await using echo = await startEcho({
      say: () => {
        throw Object.assign(new Error('MARKER in the message'), { code: 'MARKER', details: 'MARKER', metadata: 'MARKER' });
      },
      // biome-ignore lint/correctness/useYield: it fails before its first frame.
      count: async function* () {
        throw new Error('MARKER in the message');
      },
    });
    const raw = await rawCall(echo.server.address, EchoService[kind === 'unary' ? 'say' : 'count'].path, {
      token: await goodToken(),
      deadlineMs: 60_000,
    });
    assert.equal(raw.code, 13);
    assert.doesNotMatch(JSON.stringify([raw.details, raw.metadata.getMap()]) + everyByteOf(raw), /MARKER/);
    await assert.rejects(
      kind === 'unary' ? echo.client.say({ text: 'x' }) : collect(echo.client.count({ text: 'x' })),
      failsWith('INTERNAL_ERROR', 'INTERNAL'),
    );
    await waitFor(() => echo.log.lines.some((line) => line.includes('"level":"error"') && line.includes('MARKER')), {
      what: 'the log has the exception',
    });
  });

  test(`${kind}: an answer that can't be serialized is logged and INTERNAL_ERROR`, async () => {
    await using echo = await startEcho({
      say: () => ({ text: 'cannot be serialized' }),
      count: async function* () {
        yield { text: 'cannot be serialized' };
      },
    });
    await assert.rejects(
      kind === 'unary' ? echo.client.say({ text: 'x' }) : collect(echo.client.count({ text: 'x' })),
      failsWith('INTERNAL_ERROR'),
    );
    await waitFor(() => echo.log.text().includes('MARKER: no text'), { what: 'the log says why' });
  });
}

test('thousands of issues are cut to what a trailer holds', async () => {
  const issues = Array.from({ length: 5000 }, (_, index) => ({
    path: `messages[${index}].to`,
    code: 'invalid_email',
    message: 'é'.repeat(50),
  }));
  await using echo = await startEcho({
    say: () => {
      throw errors.DOMAIN_NOT_VERIFIED({ message: 'm'.repeat(100_000), issues });
    },
  });
  await assert.rejects(echo.client.say({ text: 'x' }), (error: unknown) => {
    assert.ok(error instanceof RpcError);
    assert.equal(error.code, 'DOMAIN_NOT_VERIFIED');
    assert.ok(error.detail.issues.length > 100 && error.detail.issues.length < 5000);
    assert.deepEqual(error.detail.issues[99], issues[99]);
    return true;
  });
});

test('a peer that refuses us is our mistake, not our caller’s; other errors of a peer pass through', async () => {
  await using peer = await startEcho({
    say: (request) => {
      if (request.text === 'refuse') throw errors.DOMAIN_NOT_VERIFIED({ message: 'not yet' });
      return { text: request.text };
    },
  });
  await using stranger = echoClient(peer.server.address, { self: 'somebody' });
  await using echo = await startEcho({
    say: (request, call) => (request.text === 'wrong caller' ? stranger : peer.client).say(request, onBehalfOf(call)),
  });
  await assert.rejects(echo.client.say({ text: 'wrong caller' }), failsWith('INTERNAL_ERROR', 'INTERNAL'));
  await assert.rejects(echo.client.say({ text: 'refuse' }), failsWith('DOMAIN_NOT_VERIFIED', 'FAILED_PRECONDITION'));
});

test('onBehalfOf hands on tenant, request, what is left of the deadline, and the caller’s giving up', async () => {
  let inner: RpcCall | undefined;
  await using peer = await startEcho({
    say: async (_, call) => {
      inner = call;
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      return { text: '' };
    },
  });
  await using echo = await startEcho({ say: (request, call) => peer.client.say(request, onBehalfOf(call)) });
  const controller = new AbortController();
  const calling = echo.client.say({ text: 'x' }, { tenantId: 'ten_7', requestId: 'req_7', deadlineMs: 30_000, signal: controller.signal });
  await waitFor(() => inner !== undefined, { what: 'the inner call runs' });
  assert.deepEqual([inner?.tenantId, inner?.requestId], ['ten_7', 'req_7']);
  assert.ok((inner?.deadline.getTime() ?? 0) <= Date.now() + 30_000);
  controller.abort();
  await assert.rejects(calling, failsWith('CANCELLED'));
  await waitFor(() => inner?.signal.aborted === true, { what: 'the inner call is given up too' });
});

test('a call that the peer does not know is UNIMPLEMENTED', async () => {
  await using echo = await startEcho();
  await using newer = createRpcClient(NewerEchoService, {
    address: echo.server.address,
    self: 'gateway',
    secret: SECRET,
    defaultDeadlineMs: 60_000,
  });
  await assert.rejects(newer.shout({ text: 'x' }), failsWith('UNIMPLEMENTED'));
});

// ── who may call ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('only callers on the list of the call get in', async () => {
  await using echo = await startEcho();
  await using delivery = echoClient(echo.server.address, { self: 'delivery' });
  assert.deepEqual(await delivery.say({ text: 'x' }), { text: 'x' });
  await assert.rejects(collect(delivery.count({ text: 'x', count: 1 })), failsWith('CALLER_NOT_ALLOWED', 'PERMISSION_DENIED'));
  await using stranger = echoClient(echo.server.address, { self: 'stranger' });
  await assert.rejects(stranger.say({ text: 'x' }), failsWith('CALLER_NOT_ALLOWED', 'PERMISSION_DENIED'));
});

test('a missing, bad, foreign or expired token is refused before the handler runs', async () => {
  let handled = 0;
  await using echo = await startEcho({
    say: () => {
      handled++;
      return { text: '' };
    },
  });
  const now = Date.now();
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(`{"sub":"gateway","aud":"maildoot-rpc","iat":${Math.floor(now / 1000)},"exp":${Math.floor(now / 1000) + 60}}`).toString('base64url')}.`;
  const good = await goodToken();
  const tokens: Record<string, string | undefined> = {
    missing: undefined,
    'not a token': 'abc',
    unsigned,
    'of another secret': await new CallerTokenSource('gateway', 'another secret, also long enough..').current(),
    expired: await new CallerTokenSource('gateway', SECRET, () => now - 70_000).current(),
    'of the future': await new CallerTokenSource('gateway', SECRET, () => now + 70_000).current(),
    'with a changed caller': [good.split('.')[0], Buffer.from('{"sub":"delivery"}').toString('base64url'), good.split('.')[2]].join('.'),
    'cut short': good.slice(0, -2),
  };
  for (const [what, token] of Object.entries(tokens)) {
    const status = await rawCall(echo.server.address, EchoService.say.path, { token, deadlineMs: 60_000 });
    assert.equal(status.code, 16, what);
    assert.equal(status.details, 'CALLER_UNKNOWN', what);
  }
  assert.equal(handled, 0);
  const status = await rawCall(echo.server.address, EchoService.say.path, { token: good, deadlineMs: 60_000 });
  assert.equal(status.code, 0);
  assert.equal(handled, 1);
});

test('a call without a deadline is refused', async () => {
  await using echo = await startEcho();
  const status = await rawCall(echo.server.address, EchoService.say.path, { token: await goodToken() });
  assert.equal(status.code, 3);
  assert.equal(status.details, 'DEADLINE_REQUIRED');
});

// ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const kind of ['unary', 'stream'] as const) {
  test(`${kind}: at the deadline the client gets TIMEOUT and the handler's signal is aborted`, async () => {
    let call: RpcCall | undefined;
    const hang = async (running: RpcCall): Promise<never> => {
      call = running;
      return new Promise((_, reject) => running.signal.addEventListener('abort', () => reject(running.signal.reason)));
    };
    await using echo = await startEcho({
      say: (_, running) => hang(running),
      count: async function* (_, running) {
        yield { text: 'one' };
        await hang(running);
      },
    });
    // Longer where the machine was so busy that the call never came to the handler.
    for (let deadlineMs = 100; call === undefined; deadlineMs *= 2) {
      assert.ok(deadlineMs < 30_000, 'the call never comes to the handler');
      const options = { deadlineMs };
      await assert.rejects(
        kind === 'unary' ? echo.client.say({ text: 'x' }, options) : collect(echo.client.count({ text: 'x' }, options)),
        failsWith('TIMEOUT', 'DEADLINE_EXCEEDED'),
      );
    }
    await waitFor(() => call?.signal.aborted === true, { what: 'the signal is aborted' });
    await waitFor(() => echo.log.text().includes('call refused'), { what: 'the call has ended' });
    assert.doesNotMatch(echo.log.text(), /"level":"error"/, 'a caller that gives up is no error of ours');
  });

  test(`${kind}: the caller's signal cancels the call`, async () => {
    let call: RpcCall | undefined;
    await using echo = await startEcho({
      say: async (_, running) => {
        call = running;
        await new Promise((resolve) => running.signal.addEventListener('abort', resolve));
        return { text: '' };
      },
      count: async function* (_, running) {
        call = running;
        yield { text: 'one' };
        await new Promise((resolve) => running.signal.addEventListener('abort', resolve));
      },
    });
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const calling = kind === 'unary' ? echo.client.say({ text: 'x' }, options) : collect(echo.client.count({ text: 'x' }, options));
    const rejected = assert.rejects(calling as Promise<unknown>, failsWith('CANCELLED'));
    await waitFor(() => call !== undefined, { what: 'the handler runs' });
    controller.abort();
    await rejected;
    await waitFor(() => call?.signal.aborted === true, { what: 'the handler knows' });
    await assert.rejects(
      kind === 'unary' ? echo.client.say({ text: 'x' }, options) : collect(echo.client.count({ text: 'x' }, options)),
      failsWith('CANCELLED'),
      'an aborted signal calls nobody',
    );
  });
}

test('a signal that is asked for after a good end is not aborted', async () => {
  let call: RpcCall | undefined;
  await using echo = await startEcho({
    say: (request, running) => {
      call = running;
      assert.equal(running.signal.aborted, false);
      return { text: request.text };
    },
  });
  await echo.client.say({ text: 'x' });
  await echo.client.say({ text: 'y' });
  assert.equal(call?.signal.aborted, false);
});

// ── streams ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a slow reader holds the writer back', async () => {
  let yielded = 0;
  const frame = 'x'.repeat(256 * 1024);
  await using echo = await startEcho({
    count: async function* () {
      for (; yielded < 400; yielded++) yield { text: frame };
    },
    client: { defaultDeadlineMs: 120_000 },
  });
  const frames = echo.client.count({ text: 'x' })[Symbol.asyncIterator]();
  await frames.next();
  // Until the writer has stood still for a while.
  let last = -1;
  let still = 0;
  await waitFor(
    () => {
      still = yielded === last ? still + 1 : 0;
      last = yielded;
      return still > 40;
    },
    { what: 'the writer waits' },
  );
  assert.ok(yielded < 60, `${yielded} frames of 256 KB were made for a reader that took one`);
  let rest = 1;
  for (let next = await frames.next(); !next.done; next = await frames.next()) rest++;
  assert.equal(rest, 400);
});

test('leaving the loop stops the writer and runs its finally', async () => {
  let ended = false;
  let yielded = 0;
  await using echo = await startEcho({
    count: async function* () {
      try {
        for (;;) {
          yielded++;
          yield { text: 'x'.repeat(100_000) };
        }
      } finally {
        ended = true;
      }
    },
    // Far away, so that it isn't the deadline that ends the call.
    client: { defaultDeadlineMs: 60_000 },
  });
  for await (const frame of echo.client.count({ text: 'x' })) {
    assert.equal(frame.text.length, 100_000);
    break;
  }
  await waitFor(() => ended, { what: 'the handler has ended' });
  assert.ok(yielded < 200, `${yielded} frames were made for a reader that took one`);
});

// ── connections ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a peer that is down answers UNAVAILABLE, and is used again when it comes back', async () => {
  const first = await startEchoServer();
  const { address } = first.server;
  await using client = echoClient(address, { defaultDeadlineMs: 30_000 });
  assert.deepEqual(await client.say({ text: 'up' }), { text: 'up' });
  await first.server[Symbol.asyncDispose]();

  const start = performance.now();
  await assert.rejects(client.say({ text: 'down' }), (error: unknown) => {
    failsWith('UNAVAILABLE', 'UNAVAILABLE')(error);
    assert.ok(error instanceof RpcError && error.retryable && (error.retryAfterMs ?? 0) > 0);
    assert.doesNotMatch(error.message, /127\.0\.0\.1|ECONNREFUSED/, 'no addresses in what is shown');
    return true;
  });
  assert.ok(performance.now() - start < 20_000, 'at once, not at the deadline');

  const second = await startEchoServer({ server: { listen: address } });
  await waitFor(
    () =>
      client.say({ text: 'again' }).then(
        ({ text }) => text === 'again',
        () => false,
      ),
    { what: 'an answer' },
  );
  await second.server[Symbol.asyncDispose]();
});

test('a client made before its peer is up works once it is', async () => {
  const port = await freePort();
  await using client = echoClient(`127.0.0.1:${port}`);
  await assert.rejects(client.say({ text: 'x' }), failsWith('UNAVAILABLE'));
  const { server } = await startEchoServer({ server: { listen: `127.0.0.1:${port}` } });
  await waitFor(
    () =>
      client.say({ text: 'up' }).then(
        ({ text }) => text === 'up',
        () => false,
      ),
    { what: 'an answer' },
  );
  await server[Symbol.asyncDispose]();
});

test('connections are replaced at their age without a call noticing', async () => {
  let calls = 0;
  await using echo = await startEcho({ server: { connectionMaxAgeMs: 100 } });
  const end = performance.now() + 700;
  while (calls <= 10 || performance.now() < end) {
    await Promise.all([
      echo.client.say({ text: 'a' }),
      echo.client.say({ text: 'b' }),
      collect(echo.client.count({ text: 'c', count: 3 })),
    ]);
    calls++;
  }
});

test('stopping lets running calls finish, takes no new ones, and ends at the limit', async () => {
  let release: (() => void) | undefined;
  let started = 0;
  const { server } = await startEchoServer({
    say: async (request) => {
      started++;
      if (request.text === 'wait')
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      return { text: request.text };
    },
    server: { drainTimeoutMs: 60_000 },
  });
  await using client = echoClient(server.address);
  const running = client.say({ text: 'wait' });
  await waitFor(() => started === 1, { what: 'the call runs' });
  const stopping = server[Symbol.asyncDispose]();
  await assert.rejects(client.say({ text: 'new' }), failsWith('UNAVAILABLE'));
  release?.();
  assert.deepEqual(await running, { text: 'wait' });
  await stopping;

  let hangs = false;
  const stubborn = await startEchoServer({
    say: () => {
      hangs = true;
      return new Promise<never>(() => undefined);
    },
    server: { drainTimeoutMs: 50 },
  });
  await using other = echoClient(stubborn.server.address);
  const hanging = assert.rejects(other.say({ text: 'x' }), failsWith('UNAVAILABLE'));
  await waitFor(() => hangs, { what: 'the call hangs' });
  await stubborn.server[Symbol.asyncDispose]();
  await hanging;
  assert.match(stubborn.log.text(), /still running/);
});

// ── health ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the health service follows the state, asks for no token, and knows the services by name', async () => {
  const health = createHealth();
  await using echo = await startEcho({ server: { health } });
  const { check, watch } = healthDefinition;
  const probe = new Client(echo.server.address, credentials.createInsecure());
  const ask = (service: string): Promise<number> =>
    new Promise((resolve, reject) => {
      probe.makeUnaryRequest(check.path, check.requestSerialize, check.responseDeserialize, { service }, (error, answer) =>
        error ? reject(error) : resolve(answer?.status ?? -1),
      );
    });
  assert.equal(await ask(''), ServingStatus.NOT_SERVING);
  const watched: number[] = [];
  const watching = probe.makeServerStreamRequest(watch.path, watch.requestSerialize, watch.responseDeserialize, { service: '' });
  watching.on('data', (answer: { status: number }) => watched.push(answer.status));
  watching.on('error', () => undefined);
  await waitFor(() => watched.length === 1, { what: 'the watch has begun' });
  health.state = 'ready';
  assert.equal(await ask(''), ServingStatus.SERVING);
  assert.equal(await ask('maildoot.test.v1.EchoService'), ServingStatus.SERVING);
  await assert.rejects(ask('unknown.Service'), (error: ServiceError) => error.code === 5);
  health.state = 'draining';
  assert.equal(await ask(''), ServingStatus.NOT_SERVING);
  await waitFor(() => watched.length === 3, { what: 'the watcher saw it all' });
  assert.deepEqual(watched, [ServingStatus.NOT_SERVING, ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  await echo.server[Symbol.asyncDispose]();
  probe.close();
});

// ── by hand ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function goodToken(): Promise<string> {
  return Promise.resolve(new CallerTokenSource('gateway', SECRET).current());
}

/** A call by bare gRPC: what stands on the wire, and calls that our client would never make. */
function rawCall(address: string, path: string, options: { token?: string | undefined; deadlineMs?: number }): Promise<ServiceError> {
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('maildoot-token', options.token);
  const callOptions = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
  return new Promise((resolve) => {
    const bytes = (value: Buffer): Buffer => value;
    const stream = client.makeServerStreamRequest(path, bytes, bytes, Buffer.from('{"text":"x"}'), metadata, callOptions);
    stream.on('data', () => undefined);
    stream.on('error', () => undefined);
    stream.on('status', (status: ServiceError) => {
      client.close();
      resolve(status);
    });
  });
}

function everyByteOf(status: ServiceError): string {
  return Object.values(status.metadata.getMap())
    .map((value) => value.toString())
    .join(' ');
}
