// Retention: content goes after its days, messages with all that belongs to them after theirs, by whole partitions.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, rpcError } from './world.ts';

it('content is dropped after its days, the message with all that belongs to it after its own', async () => {
  const clock = new TestClock();
  await using world = await createWorld({ clock, env: { MESSAGE_RETENTION_DAYS: '9', CONTENT_RETENTION_DAYS: '3' } });
  const { id } = await world.acceptOne();
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

  await waitFor(() => clock.sleeping > 0, { what: 'the jobs to sleep' });
  await days(5);
  await waitFor(async () => (await world.content(id).catch((error: { code: string }) => error.code)) === 'NOT_FOUND', {
    what: 'the content to go',
  });
  assert.equal((await world.get(id)).message?.id, id);

  await waitFor(() => clock.sleeping > 0, { what: 'the jobs to sleep again' });
  await days(6);
  await waitFor(
    async () => {
      await assert.rejects(world.get(id), rpcError('NOT_FOUND'));
      return true;
    },
    { what: 'the message to go' },
  );
  for (const table of ['message', 'recipient', 'message_event', 'content'])
    assert.ok((await partitions(table)) >= 8, `${table} has its partitions ahead`);
});
