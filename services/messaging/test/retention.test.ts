// Retention: content goes after its days, messages with all that belongs to them after theirs, by whole partitions, and never while
// somebody still waits for the message.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, type World } from './world.ts';

const codeOf = (error: { code: string }) => error.code;

/** A partition that was locked when its time came has its next one an hour later. */
function goesHourly(clock: TestClock, what: string, isGone: () => Promise<boolean>): Promise<unknown> {
  const look = async () => {
    if (await isGone()) return true;
    await clock.advance(3_600_000);
    return false;
  };
  return waitFor(look, { what, intervalMs: 1_000, timeoutMs: 60_000 });
}

it('content is dropped after its days, the message with all that belongs to it after its own', async () => {
  const clock = new TestClock();
  await using world = await createWorld({
    clock,
    env: { MESSAGING_ROLE: 'api', MESSAGE_RETENTION_DAYS: '9', CONTENT_RETENTION_DAYS: '3' },
  });
  const { id } = await world.acceptOne();
  await deliver(world, id, 1);
  const days = (count: number) => clock.advance(count * 86_400_000);
  const partitions = async (table: string) => {
    const { rows } = await world.database.pool.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM pg_inherits WHERE inhparent = $1::regclass',
      [table],
    );
    return rows[0]!.count;
  };
  // Yesterday's to that of seven days ahead.
  assert.equal(await partitions('message'), 9);

  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep' });
  await days(5);
  await goesHourly(clock, 'the content to go', async () => (await world.content(id).catch(codeOf)) === 'NOT_FOUND');
  assert.equal((await world.get(id)).message?.id, id);

  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep again' });
  await days(6);
  await goesHourly(clock, 'the message to go', async () => (await world.get(id).catch(codeOf)) === 'NOT_FOUND');
  for (const table of ['message', 'recipient', 'message_event', 'content'])
    assert.ok((await partitions(table)) >= 8, `${table} has its partitions ahead`);
});

it('nothing of a day goes while a recipient of it is open: a message that is sent later than its content would have gone', async () => {
  const clock = new TestClock();
  await using world = await createWorld({
    clock,
    env: { MESSAGING_ROLE: 'api', MESSAGE_RETENTION_DAYS: '3', CONTENT_RETENTION_DAYS: '1' },
  });
  const days = (count: number) => clock.advance(count * 86_400_000);
  const sendAt = new Date(clock.now().getTime() + 20 * 86_400_000);
  const { id } = await world.acceptOne({ sendAt });
  const other = await world.acceptOne();
  await deliver(world, other.id, 1);
  const kept = async (table: string) => {
    // First twenty days of partitions are made for each table.
    const isKept = ({ msg, partition }: Record<string, unknown>) => msg === keptBack && String(partition).startsWith(`${table}_p`);
    await goesHourly(clock, `${table} kept`, async () => world.logs.records.some(isKept));
  };

  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep' });
  await days(20);
  for (const table of ['message', 'recipient', 'message_event', 'content']) await kept(table);
  assert.ok((await world.content(id)).length > 0, 'there for the first attempt');
  assert.equal((await world.get(id)).message?.id, id);

  // An attempt that is to be followed by another one keeps them as well.
  await world.tellAttempts({ ...attemptOf(world, id, 1), outcome: Outcome.OUTCOME_DEFERRED });
  await waitFor(async () => (await world.get(id)).message?.recipients[0]?.attempts === 1, { what: 'the attempt to be recorded' });
  const lines = () => world.logs.records.filter(({ msg }) => msg === keptBack).length;
  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep again' });
  const before = lines();
  await clock.advance(3_600_000);
  await waitFor(() => lines() >= before + 4, { what: 'all four to be kept again' });
  assert.ok((await world.content(id)).length > 0, 'there for the second attempt');

  await deliver(world, id, 2);
  await goesHourly(clock, 'the message to go', async () => (await world.get(id).catch(codeOf)) === 'NOT_FOUND');
  await goesHourly(clock, 'the content to go', async () => (await world.content(id).catch(codeOf)) === 'NOT_FOUND');
});

// Partitions, the expiry of idempotency records and that of statistics. Only when all sleep, the partitions' round is over.
const jobs = 3;
const keptBack = 'partitions: rows past their retention are kept, a recipient of that day is still open';

function attemptOf(world: World, messageId: string, attempt: number) {
  return { messageId, tenantId: world.tenantId, recipientNumber: 0, attempt, endedAt: new Date() };
}

async function deliver(world: World, id: string, attempt: number): Promise<void> {
  await world.tellAttempts({ ...attemptOf(world, id, attempt), outcome: Outcome.OUTCOME_DELIVERED });
  await waitFor(async () => (await world.get(id)).message?.status === MessageStatus.MESSAGE_STATUS_DELIVERED, { what: 'the delivery' });
}
