// Bundles: calls of one moment go as one on the wire, and are otherwise what they would have been alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js';
import { BundleServiceService, type CallRequest, type CallResponse } from '@maildoot/proto/maildoot/rpc/v1/bundle';
import { startTelemetry, traceparentOf, tracer } from '@maildoot/runtime/telemetry';
import { waitFor } from '@maildoot/testkit/wait';
import { context, trace } from '@opentelemetry/api';
import { defineErrors, RpcError } from '../src/errors.ts';
import { type Answer, type Ask, EchoService, echoClient, startEcho } from './echo-service.ts';

const errors = defineErrors({ BUSY: { status: 'RESOURCE_EXHAUSTED', retryable: true } });
const bundled = { client: { bundled: ['say'] } };
const failsWith = (code: string) => (error: unknown) => error instanceof RpcError && error.code === code;

/** A peer of bare gRPC, which shows what came over the wire. */
async function startPeer(answer: ((call: ServerWritableStream<CallRequest, CallResponse>) => void) | undefined) {
  const bundles: CallRequest[] = [];
  const alone: Ask[] = [];
  const server = new Server();
  const say = (call: ServerUnaryCall<Ask, Answer>, callback: sendUnaryData<Answer>): void => {
    alone.push(call.request);
    callback(null, { text: call.request.text });
  };
  server.register(EchoService.say.path, say, EchoService.say.responseSerialize, EchoService.say.requestDeserialize, 'unary');
  if (answer) {
    server.addService(BundleServiceService, {
      call: (call: ServerWritableStream<CallRequest, CallResponse>) => {
        bundles.push(call.request);
        answer(call);
      },
    });
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  const client = echoClient(`127.0.0.1:${port}`, { bundled: ['say'] });
  return {
    bundles,
    alone,
    client,
    lose: () => server.forceShutdown(),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      server.forceShutdown();
    },
  };
}

const answered = (call: ServerWritableStream<CallRequest, CallResponse>, numbers: readonly number[]): boolean =>
  call.write({
    answers: numbers.map((number) => ({ number, result: { $case: 'response', value: call.request.calls[number]!.request } })),
  });
const answerAll = (call: ServerWritableStream<CallRequest, CallResponse>): void => {
  answered(call, [...call.request.calls.keys()]);
  call.end();
};
const textsOf = ({ calls }: CallRequest): string[] =>
  calls.map(({ request }) => EchoService.say.requestDeserialize(Buffer.from(request)).text);

test('calls of one turn are one on the wire; one without company goes by itself', async () => {
  await using peer = await startPeer(answerAll);
  const answers = await Promise.all(['a', 'b', 'c'].map((text) => peer.client.say({ text })));
  assert.deepEqual(answers, [{ text: 'a' }, { text: 'b' }, { text: 'c' }]);
  assert.deepEqual(peer.bundles.map(textsOf), [['a', 'b', 'c']]);
  assert.deepEqual(await peer.client.say({ text: 'alone' }), { text: 'alone' });
  assert.deepEqual([peer.bundles.length, peer.alone], [1, [{ text: 'alone' }]]);
});

test('a large call, one that may be given up, and one of other patience go by themselves', async () => {
  await using peer = await startPeer(answerAll);
  const large = 'x'.repeat(40_000);
  await Promise.all([
    peer.client.say({ text: 'a' }, { deadlineMs: 15_000 }),
    peer.client.say({ text: large }),
    peer.client.say({ text: 'b' }, { signal: new AbortController().signal }),
    peer.client.say({ text: 'c' }, { deadlineMs: 20_000 }),
    // As of a call that is made again with what is left of its time.
    peer.client.say({ text: 'd' }, { deadlineMs: 14_999.2 }),
  ]);
  assert.deepEqual(peer.bundles.map(textsOf), [['a', 'd']]);
  assert.deepEqual(peer.alone.map(({ text }) => text).sort(), ['b', 'c', large]);
});

test('a bundle has a limit of calls and of bytes', async () => {
  await using peer = await startPeer(answerAll);
  await Promise.all(Array.from({ length: 150 }, () => peer.client.say({ text: 'x' })));
  assert.deepEqual(
    peer.bundles.map(({ calls }) => calls.length),
    [64, 64, 22],
  );
  peer.bundles.length = 0;
  await Promise.all(Array.from({ length: 20 }, () => peer.client.say({ text: 'x'.repeat(30_000) })));
  assert.deepEqual(
    peer.bundles.map(({ calls }) => calls.length),
    [8, 8, 4],
  );
});

test('a peer that does not know bundles is asked call by call, at once and from then on', async () => {
  await using peer = await startPeer(undefined);
  for (const round of ['1', '2']) {
    const texts = ['a', 'b', 'c'].map((text) => text + round);
    const answers = await Promise.all(texts.map((text) => peer.client.say({ text })));
    assert.deepEqual(
      answers.map(({ text }) => text),
      texts,
    );
  }
  assert.equal(peer.alone.length, 6);
});

test('a connection that is lost leaves those answered that were, and the others UNAVAILABLE', async () => {
  await using peer = await startPeer((call) => void answered(call, [1]));
  const calls = ['a', 'b', 'c'].map((text) => peer.client.say({ text }));
  assert.deepEqual(await calls[1], { text: 'b' });
  peer.lose();
  await assert.rejects(calls[0]!, failsWith('UNAVAILABLE'));
  await assert.rejects(calls[2]!, failsWith('UNAVAILABLE'));
});

test('a peer that ends a bundle too early made a mistake, and nobody waits for ever', async () => {
  await using peer = await startPeer((call) => {
    answered(call, [0]);
    call.end();
  });
  const [first, second] = await Promise.allSettled(['a', 'b'].map((text) => peer.client.say({ text })));
  assert.equal(first?.status, 'fulfilled');
  assert.ok(second?.status === 'rejected' && failsWith('INTERNAL_ERROR')(second.reason));
});

test('each has its own tenant, request and answer', async () => {
  const seen: string[] = [];
  await using echo = await startEcho({
    ...bundled,
    say: (request, call) => {
      seen.push([call.caller, call.tenantId, call.requestId, request.text].join(' '));
      return { text: `to ${request.text}` };
    },
  });
  const answers = await Promise.all([
    echo.client.say({ text: 'a' }, { tenantId: 'ten_a', requestId: 'req_a' }),
    echo.client.say({ text: 'b' }, { tenantId: 'ten_b', requestId: 'req_b' }),
    echo.client.say({ text: 'c' }),
  ]);
  assert.deepEqual(answers, [{ text: 'to a' }, { text: 'to b' }, { text: 'to c' }]);
  assert.deepEqual(seen, ['gateway ten_a req_a a', 'gateway ten_b req_b b', 'gateway   c']);
});

test('what fails fails alone: an error of the service, an exception, an answer that can’t be written', async () => {
  await using echo = await startEcho({
    ...bundled,
    say: ({ text }) => {
      if (text === 'busy')
        throw errors.BUSY({ message: 'Too much – später.', issues: [{ path: 'to', code: 'x', message: 'y' }], retryAfterMs: 1500 });
      if (text === 'broken') throw new Error('MARKER');
      return { text };
    },
  });
  const texts = ['a', 'busy', 'broken', 'cannot be serialized', 'b'];
  const [a, busy, broken, unwritten, b] = await Promise.allSettled(texts.map((text) => echo.client.say({ text })));
  assert.deepEqual(
    [a, b],
    [
      { status: 'fulfilled', value: { text: 'a' } },
      { status: 'fulfilled', value: { text: 'b' } },
    ],
  );
  assert.ok(busy?.status === 'rejected' && busy.reason instanceof RpcError);
  const { code, status, message, retryAfterMs, retryable, remote, detail } = busy.reason;
  assert.deepEqual(
    { code, status, message, retryAfterMs, retryable, remote, issues: detail.issues },
    {
      code: 'BUSY',
      status: 'RESOURCE_EXHAUSTED',
      message: 'Too much – später.',
      retryAfterMs: 1500,
      retryable: true,
      remote: true,
      issues: [{ path: 'to', code: 'x', message: 'y' }],
    },
  );
  for (const failure of [broken, unwritten]) {
    assert.ok(failure?.status === 'rejected' && failsWith('INTERNAL_ERROR')(failure.reason));
    assert.doesNotMatch(String(failure.reason.message), /MARKER/);
  }
  assert.match(echo.log.text(), /MARKER/);
});

test('a slow one holds nobody up; at the deadline it alone gets TIMEOUT, and its handler hears of it', async () => {
  let aborted = false;
  await using echo = await startEcho({
    ...bundled,
    say: async ({ text }, call) => {
      if (text !== 'slow') return { text };
      await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve(), { once: true }));
      aborted = true;
      throw call.signal.reason;
    },
  });
  await echo.client.say({ text: 'connected' });
  const order: string[] = [];
  const say = (text: string) => echo.client.say({ text }, { deadlineMs: 3000 }).finally(() => order.push(text));
  const slow = assert.rejects(say('slow'), failsWith('TIMEOUT'));
  assert.deepEqual(await Promise.all([say('a'), say('b')]), [{ text: 'a' }, { text: 'b' }]);
  assert.deepEqual(order.toSorted(), ['a', 'b']);
  await slow;
  await waitFor(() => aborted, { what: 'the handler hears of it' });
});

test('who may not call may not call together either', async () => {
  await using echo = await startEcho({ client: { bundled: ['say'], self: 'messaging' } });
  for (const outcome of await Promise.allSettled(['a', 'b'].map((text) => echo.client.say({ text }))))
    assert.ok(outcome.status === 'rejected' && failsWith('CALLER_NOT_ALLOWED')(outcome.reason));
  await using stranger = await startEcho({ client: { bundled: ['say'], secret: 'another secret, which is not the right one' } });
  for (const outcome of await Promise.allSettled(['a', 'b'].map((text) => stranger.client.say({ text }))))
    assert.ok(outcome.status === 'rejected' && failsWith('CALLER_UNKNOWN')(outcome.reason));
});

test('each goes on with its own trace', async () => {
  await using _ = await startTelemetry({ serviceName: 'test', otlpEndpoint: 'http://127.0.0.1:1' });
  await using echo = await startEcho({ ...bundled, say: () => ({ text: traceparentOf(context.active()) ?? '' }) });
  const spans = ['a', 'b', 'c'].map((name) => tracer('test').startSpan(name));
  const answers = await Promise.all(
    spans.map((span) => context.with(trace.setSpan(context.active(), span), () => echo.client.say({ text: 'x' }))),
  );
  assert.deepEqual(
    answers.map(({ text }) => text.split('-')[1]),
    spans.map((span) => span.spanContext().traceId),
  );
  assert.equal(new Set(answers.map(({ text }) => text)).size, 3);
});

test('who closes the client in the same moment gets an error per call, and the process goes on', async () => {
  await using peer = await startPeer(answerAll);
  const calls = ['a', 'b'].map((text) => peer.client.say({ text }));
  // Until they wait for company.
  await Promise.resolve();
  await peer.client[Symbol.asyncDispose]();
  for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
    assert.equal(status, 'rejected');
    assert.ok(reason instanceof RpcError);
  }
  assert.deepEqual(peer.bundles, []);
});
