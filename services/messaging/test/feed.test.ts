// The feed: every event of a tenant exactly once and in one order, whatever commits when and whoever dies.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type FeedEvent, ListEventsRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const address = (email: string) => ({ email, name: '' });

function ask(request: Parameters<typeof ListEventsRequest.fromPartial>[0], tenantId = world.tenantId) {
  return world.gateway.listEvents(ListEventsRequest.fromPartial(request), { tenantId });
}

/** Everything behind a position, page by page. */
async function everything(tenantId = world.tenantId, after = 0n, limit = 100): Promise<FeedEvent[]> {
  const events: FeedEvent[] = [];
  for (;;) {
    const page = await ask({ after, limit }, tenantId);
    events.push(...page.events);
    after = page.nextAfter;
    if (!page.hasMore) return events;
  }
}

it('a message’s way in the feed: the timeline’s events, with message, tags and metadata, in an increasing order', async () => {
  const tenantId = newId('ten');
  world.verified.add(`${tenantId} sender.example`);
  const { id } = await world.acceptOne(
    { to: [address('a@rcpt.example')], tags: ['order'], metadata: { order: '7' }, sendAt: new Date(Date.now() + 60_000) },
    {},
    tenantId,
  );
  await waitFor(async () => (await everything(tenantId)).length === 2, { what: 'accepted and scheduled' });
  const at = new Date();
  const attempt = { messageId: id, tenantId, recipientNumber: 0, recipient: 'a@rcpt.example', queuedAt: at, startedAt: at, finishedAt: at };
  await world.tellAttempts(
    { ...attempt, attempt: 1, outcome: Outcome.OUTCOME_DEFERRED },
    { ...attempt, attempt: 2, outcome: Outcome.OUTCOME_DELIVERED },
  );
  await waitFor(async () => (await everything(tenantId)).length === 5, { what: 'the attempts' });

  const events = await everything(tenantId);
  assert.deepEqual(
    events.map(({ event }) => [event?.type, event?.recipient, event?.attempt?.attempt]),
    [
      ['message.accepted', '', undefined],
      ['message.scheduled', '', undefined],
      ['message.queued', 'a@rcpt.example', undefined],
      ['message.deferred', 'a@rcpt.example', 1],
      ['message.delivered', 'a@rcpt.example', 2],
    ],
  );
  for (const { messageId, tags, metadata } of events) assert.deepEqual([messageId, tags, metadata], [id, ['order'], { order: '7' }]);
  for (const [index, { seq }] of events.entries()) assert.ok(index === 0 || seq > events[index - 1]!.seq, 'seq increases');
  const timeline = await world.timeline(id, tenantId);
  assert.deepEqual(
    events.map(({ event }) => event),
    [...timeline.events, ...(timeline.recipients[0]?.events ?? [])],
    'the same events, ids included',
  );
});
