// Parked records come back: seen and asked for with tools/parked.ts, handled by the group's own reader, and gone from there only then.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { createTestDatabase } from '@maildoot/testkit/database';
import { waitFor } from '@maildoot/testkit/wait';
import { type ParkedRecord, requestReplay } from '../src/parked.ts';
import { createPostgresLog } from '../src/postgres-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted, type Topic } from '../src/topics.ts';
import { event, numberOf, openProducer, range, silent, tell } from './fixtures.ts';

const tool = fileURLToPath(new URL('../../../tools/parked.ts', import.meta.url));
const retry = { attempts: 2, firstDelayMs: 1, maxDelayMs: 2 };

async function setUp() {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const sequencer = stack.use(startSequencer({ database, logger: silent }));
  await sequencer.ready;
  const publish = async (...numbers: number[]) => {
    await tell(database, ...numbers.map((number) => event('k', number)));
    sequencer.wake();
  };
  const parked = async (group: string) => {
    const { rows } = await database.pool.query<{ attempts: number; error: string; requested: boolean }>(
      'SELECT attempts, error, replay_requested_at IS NOT NULL AS requested FROM event_log.parked WHERE group_name = $1 ORDER BY position',
      [group],
    );
    return rows;
  };
  const owned = stack.move();
  return { url, database, publish, parked, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A group whose handler throws what `failure` says of a number. */
function subscribe(url: string, group: string, failure: (number: number) => Error | undefined, topic = messageAccepted) {
  const handled: number[] = [];
  const log = createPostgresLog({ url, logger: silent });
  log.subscribe(topic, {
    group,
    maxBatch: 100,
    retry,
    async handle(records) {
      for (const record of records) {
        const error = failure(numberOf(record));
        if (error !== undefined) throw error;
      }
      handled.push(...records.map(numberOf));
    },
  });
  return { handled, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
}

async function parkedTool(env: Record<string, string>, ...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [tool, ...args], { env: { PATH: process.env.PATH ?? '', ...env } });
  return stdout;
}

test('a record is looked at, refused once more with its new reason, and handled when the cause is gone', async () => {
  await using setup = await setUp();
  const home = await mkdtemp(join(tmpdir(), 'parked-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(home, { recursive: true }) };
  await writeFile(join(home, 'run.json'), JSON.stringify({ databaseUrl: setup.url, socketDirectory: '' }));
  const env = { MAILDOOT_HOME: home };

  let bug: string | undefined = 'first';
  await using ours = subscribe(setup.url, 'ours', (number) => (number === 3 && bug !== undefined ? new TypeError(bug) : undefined));
  await using theirs = subscribe(setup.url, 'theirs', (number) => (number === 3 ? new TypeError('theirs') : undefined));
  await setup.publish(...range(6));
  await waitFor(() => ours.handled.includes(5) && theirs.handled.includes(5), { what: 'the records behind it' });

  const listed = (await parkedTool(env, 'list', '--group', 'ours')).trim().split('\n');
  assert.equal(listed.length, 1);
  const record = JSON.parse(listed[0]!) as ParkedRecord;
  assert.deepEqual(
    [record.group, record.topic, record.key, record.reason, record.error, record.attempts, record.replayRequestedAt],
    ['ours', messageAccepted.name, 'k', 'refused', 'TypeError: first', 2, null],
  );
  assert.match(await parkedTool(env, 'replay', '--topic', 'no.such.v1'), /nothing is parked/);

  bug = 'second';
  const words = await parkedTool({ DATABASE_URL: setup.url }, 'replay', '--group', 'ours');
  assert.match(words, /ours: 1 of messaging\.message-accepted\.v1 are handled once more/);
  await waitFor(async () => (await setup.parked('ours'))[0]?.requested === false, { what: 'the second refusal' });
  assert.deepEqual(await setup.parked('ours'), [{ attempts: 3, error: 'TypeError: second', requested: false }]);

  bug = undefined;
  await parkedTool(env, 'replay', '--group', 'ours', '--event', record.eventId);
  await waitFor(async () => (await setup.parked('ours')).length === 0, { what: 'the record to leave' });
  assert.deepEqual(ours.handled, [0, 1, 2, 4, 5, 3]);
  assert.deepEqual(await setup.parked('theirs'), [{ attempts: 2, error: 'TypeError: theirs', requested: false }]);
});

test('what an older version could not read is handled by a newer one, more than a batch of them', async () => {
  await using setup = await setUp();
  const old: Topic<MessageAcceptedEvent> = { ...messageAccepted, unreadable: () => 'unknown to this version' };
  {
    await using before = subscribe(setup.url, 'g', () => undefined, old);
    await setup.publish(...range(25));
    await waitFor(async () => (await setup.parked('g').catch(() => [])).length === 25, { what: 'all to be parked' });
    assert.deepEqual(before.handled, []);
  }
  await requestReplay(setup.database.pool, {});
  await using after = subscribe(setup.url, 'g', () => undefined);
  await waitFor(async () => (await setup.parked('g')).length === 0, { what: 'all to leave' });
  assert.deepEqual(after.handled, range(25));
});

test('a replay that meets trouble elsewhere stays asked for, and the records behind are not held up', async () => {
  await using setup = await setUp();
  let failure: Error | undefined = new TypeError('a bug');
  let met = 0;
  await using group = subscribe(setup.url, 'g', (number) => {
    if (number === 1 && failure !== undefined) met++;
    return number === 1 ? failure : undefined;
  });
  await setup.publish(1, 2);
  await waitFor(() => group.handled.includes(2), { what: 'the record behind it' });
  failure = Object.assign(new Error('no table'), { code: '42P01', severity: 'ERROR' });
  met = 0;
  await requestReplay(setup.database.pool, { group: 'g' });
  await waitFor(() => met > 0, { what: 'the replay to meet it' });
  await setup.publish(3);
  await waitFor(() => group.handled.includes(3), { what: 'a record that came later' });
  assert.deepEqual(await setup.parked('g'), [{ attempts: 2, error: 'TypeError: a bug', requested: true }]);
  failure = undefined;
  await waitFor(async () => (await setup.parked('g')).length === 0, { what: 'the record to leave' });
  assert.deepEqual(group.handled, [2, 3, 1]);
});
