// Two tenants: whatever one asks about the other's message is answered, to the byte, as if there were no such message.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { RpcError } from '@maildoot/rpc/errors';
import { newId } from '@maildoot/runtime/ids';
import { createWorld, outgoing, rpcError, type World } from './world.ts';

let world: World;
const stranger = newId('ten');
before(async () => {
  world = await createWorld();
  world.verified.add(`${stranger} sender.example`);
});
after(() => world[Symbol.asyncDispose]());

async function failureOf(call: Promise<unknown>) {
  const error = await call.then(
    () => assert.fail('it was answered'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RpcError);
  return { code: error.code, status: error.status, detail: error.detail, retryable: error.retryable };
}

describe('another tenant’s message', () => {
  const calls: [string, (id: string) => Promise<unknown>][] = [
    ['GetMessage', (id) => world.get(id, stranger)],
    ['GetTimeline', (id) => world.timeline(id, stranger)],
    ['GetContent', (id) => world.content(id, stranger)],
    ['CancelMessage', (id) => world.cancel(id, stranger)],
  ];
  for (const [name, call] of calls) {
    it(`${name} answers as for no message`, async () => {
      const { id } = await world.acceptOne();
      assert.deepEqual(await failureOf(call(id)), await failureOf(call(newId('msg'))));
      assert.deepEqual(await failureOf(call(id)), await failureOf(call('no id at all')));
    });
  }

  it('stands in no list, by no filter', async () => {
    const batchId = newId('bat');
    const { id } = await world.acceptOne({ tags: ['t'], metadata: { a: 'b' } }, { batchId });
    const filters = [
      {},
      { to: 'a@rcpt.example' },
      { from: 'shop@sender.example' },
      { tag: 't' },
      { metadata: { a: 'b' } },
      { batchId },
      { subject: 'Your' },
    ];
    for (const filter of filters) {
      assert.deepEqual((await world.list(filter, stranger)).messages, []);
      assert.deepEqual((await world.list(filter)).messages.map((message) => message.id).slice(0, 1), [id]);
    }
    // As a cursor it is a place in time and nothing else.
    assert.deepEqual((await world.list({ afterId: id }, stranger)).messages, []);
  });

  it('verified for one is not verified for the other', async () => {
    world.verified.add(`${stranger} theirs.example`);
    const from = { email: 'x@theirs.example', name: '' };
    await world.acceptOne({ from }, {}, stranger);
    const { results } = await world.accept({ from });
    assert.equal(results[0]?.result?.$case, 'error');
  });
});

describe('callers', () => {
  it('are let in by name only: delivery reads contents, the gateway does the rest', async () => {
    const { id } = await world.acceptOne();
    await assert.rejects(world.delivery.getMessage({ id }, { tenantId: world.tenantId }), rpcError('CALLER_NOT_ALLOWED'));
    await assert.rejects(async () => {
      for await (const frame of world.gateway.readContents({ ids: [id] })) assert.fail(`got ${frame.data.length} bytes`);
    }, rpcError('CALLER_NOT_ALLOWED'));
  });

  it('without a tenant are refused', async () => {
    await assert.rejects(world.gateway.listMessages({ ...emptyList }, {}), rpcError('VALIDATION_ERROR'));
    await assert.rejects(world.accept(outgoing(), {}, 'ten_x'), rpcError('VALIDATION_ERROR'));
  });
});

const emptyList = {
  limit: 0,
  afterId: '',
  status: 0,
  from: '',
  to: '',
  subject: '',
  tag: '',
  metadata: {},
  domain: '',
  createdAfter: undefined,
  createdBefore: undefined,
  batchId: '',
  templateId: '',
  stream: '',
} as const;
