// docs/examples/consume-events.ts, run as a stranger would run it: a process of its own on a real Kafka that holds what outbox and sequencer told.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { newId } from '@maildoot/runtime/ids';
import { createTestDatabase } from '@maildoot/testkit/database';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import type { Admin, Message } from 'kafkajs';
import { openKafka } from '../src/kafka-client.ts';
import { outboxMigrations } from '../src/migrations.ts';
import { appendOutbox, type OutboxEvent } from '../src/outbox.ts';
import { startSequencer } from '../src/sequencer.ts';
import { attemptRecorded, messageAccepted, schemaOf, type Topic } from '../src/topics.ts';
import { range, type StoredRecord, silent, storedRecords } from './fixtures.ts';

const skip = kafkaMissing() ?? false;
const script = fileURLToPath(new URL('../../../docs/examples/consume-events.ts', import.meta.url));
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${trace}-00f067aa0ba902b7-01`;

let kafka: Kafka;
before(async () => {
  if (skip === false) kafka = await startKafka();
});
after(() => kafka?.[Symbol.asyncDispose]());

/** Tells these by the owner's own means, and resolves when Kafka has them. */
async function tell<E>(topic: Topic<E>, events: OutboxEvent<E>[]): Promise<StoredRecord[]> {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const schema = schemaOf(topic);
  await migrate({ url, schema, migrations: [outboxMigrations] });
  const database: Database = stack.use(await openDatabase({ url, schema, maxConnections: 4, applicationName: 'producer' }));
  const sequencer = stack.use(startSequencer({ database, logger: silent, kafkaBrokers: [kafka.brokers] }));
  await sequencer.ready;
  await database.transaction((client) => appendOutbox(client, events));
  sequencer.wake();
  return await waitFor(
    async () => {
      const records = await storedRecords(kafka.brokers, topic.name);
      return records.length >= events.length && records;
    },
    { what: `${events.length} records of ${topic.name} in Kafka`, intervalMs: 100 },
  );
}

async function send(topic: string, messages: Message[]): Promise<void> {
  const client = openKafka({ brokers: [kafka.brokers], clientId: 'test', logger: silent });
  const producer = client.kafka.producer({ allowAutoTopicCreation: false });
  try {
    await producer.connect();
    await producer.send({ topic, acks: -1, messages });
  } finally {
    client.destroy();
  }
}

/** The sample of a topic in docs/events.md, as one would send it. */
function documented(topic: string): Message {
  const page = readFileSync(new URL('../../../docs/events.md', import.meta.url), 'utf8');
  const records = [...page.matchAll(/```json record\n([^`]+)```/g)].map(([, json = '']) => JSON.parse(json) as Record<string, unknown>);
  const { partition, key, headers, value } = records.find((record) => record.topic === topic) as {
    partition: number;
    key: string;
    headers: Record<string, string>;
    value: string;
  };
  return { partition, key, headers, value: Buffer.from(value, 'base64') };
}

function runExample(env: Record<string, string>) {
  const child = spawn(process.execPath, [script], { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  return {
    lines: () => out.split('\n').filter((line) => line !== ''),
    errors: () => errors,
    ended,
    async stop() {
      child.kill('SIGTERM');
      return (await ended)[0];
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function payloadOf(key: string, index: number): Buffer {
  return Buffer.from(MessageAcceptedEvent.encode(accepted(key, index + 1)).finish());
}

function accepted(messageId: string, recipients: number): MessageAcceptedEvent {
  return MessageAcceptedEvent.fromPartial({
    messageId,
    tenantId: newId('ten'),
    mailFrom: 'secret-sender@shop.example',
    recipients: range(recipients).map((number) => ({ number, address: `secret-${number}@example.org` })),
  });
}

describe('the example of a consumer', { skip, timeout: 600_000 }, () => {
  test('prints each event once, survives a broken record, and goes on after a restart where it stopped', async () => {
    const ids = range(20).map(() => newId('msg'));
    const told = await tell(
      messageAccepted,
      ids.map((id, index) => ({ topic: messageAccepted, event: accepted(id, index + 1), traceparent })),
    );
    // Each again, as a publisher does that has crashed before it knew; then bytes that are no event, and one that is told after them.
    const repeats = told.map(({ partition, key, headers }, index) => ({
      partition,
      key,
      headers: { ...headers },
      value: payloadOf(key, index),
    }));
    const last = newId('msg');
    const at = told[0]!.partition;
    await send(messageAccepted.name, [
      ...repeats,
      { partition: at, key: 'k', headers: { id: 'broken' }, value: Buffer.from('ffff', 'hex') },
      documented(messageAccepted.name),
      { partition: at, key: last, headers: { id: 'last' }, value: payloadOf(last, 0) },
    ]);

    const settings = { KAFKA_BROKERS: kafka.brokers, TOPIC: messageAccepted.name, GROUP: 'example-restarted' };
    await using first = runExample(settings);
    const lines = await waitFor(() => first.lines().length >= 22 && first.lines(), {
      what: '22 lines of the example',
    }).catch((error: unknown) => assert.fail(`${String(error)}\n${first.lines().join('\n')}\n${first.errors()}`));
    // The last one of its partition was behind the repeats of that one; the other partitions may still have theirs to come.
    await waitFor(async () => (await lagOf('example-restarted', messageAccepted.name)) === 0, {
      what: 'all to be read',
    });
    assert.equal(await first.stop(), 0, first.errors());
    assert.deepEqual(first.lines(), lines);
    assert.equal(await membersOf('example-restarted'), 0, 'who ends leaves its group');
    const sample = lines.find((line) => line.startsWith('2026-01-15T10:00:00.012Z 019bc119-010c-7000-8000-000000000000 '));
    assert.match(sample ?? '', / msg_01kf0hj080e008000000000000 accepted for 2 recipients$/);
    for (const [index, id] of ids.entries()) {
      const own = lines.filter((line) => line.includes(id));
      assert.equal(own.length, 1, `lines of ${id}`);
      const record = told.find(({ key }) => key === id)!;
      assert.equal(own[0], `${record.headers['published-at']} ${record.id} trace=${trace} ${id} accepted for ${index + 1} recipients`);
    }
    // kafkajs has words of its own beside it, of a group that is new.
    const unreadable = first
      .errors()
      .split('\n')
      .filter((line) => line.startsWith('unreadable: '));
    assert.equal(unreadable.length, 1, first.errors());
    assert.match(unreadable[0]!, new RegExp(`: ${messageAccepted.name.replaceAll('.', '\\.')} partition ${at} offset \\d+: `));
    assert.ok(!`${lines.join()}${first.errors()}`.includes('secret'), 'no addresses are printed');

    const next = newId('msg');
    await send(messageAccepted.name, [{ partition: at, key: next, headers: { id: 'next' }, value: payloadOf(next, 0) }]);
    await using second = runExample(settings);
    await waitFor(() => second.lines().length > 0, { what: 'the record of after the restart' });
    assert.equal(await second.stop(), 0, second.errors());
    assert.deepEqual(second.lines(), [` next trace=- ${next} accepted for 1 recipients`]);
  });

  test('reads the other topic, an outcome that it does not know, and the sample of the documentation', async () => {
    const messageId = newId('msg');
    const event = AttemptRecordedEvent.fromPartial({ messageId, tenantId: newId('ten'), recipientNumber: 3, attempt: 2 });
    await tell(
      attemptRecorded,
      [Outcome.OUTCOME_DEFERRED, Outcome.OUTCOME_DELIVERED, 99 as Outcome].map((outcome) => ({
        topic: attemptRecorded,
        event: { ...event, outcome },
      })),
    );
    await send(attemptRecorded.name, [documented(attemptRecorded.name)]);
    await using example = runExample({ KAFKA_BROKERS: kafka.brokers, TOPIC: attemptRecorded.name, GROUP: 'example-attempts' });
    await waitFor(() => example.lines().length >= 4, { what: '4 lines of the example' });
    assert.equal(await example.stop(), 0, example.errors());
    const sample = '2026-01-15T10:00:31.500Z 019bc119-7c0c-7000-8000-000000000000 trace=4bf92f3577b34da6a3ce929d0e0e4736';
    assert.equal(
      example.lines().find((line) => line.startsWith('2026-01-15')),
      `${sample} msg_01kf0hj080e008000000000000 recipient 1 attempt 1 OUTCOME_DEFERRED`,
    );
    const others = example.lines().filter((line) => !line.startsWith('2026-01-15'));
    assert.deepEqual(
      others.map((line) => line.split(' ').slice(3).join(' ')),
      ['OUTCOME_DEFERRED', 'OUTCOME_DELIVERED', 'outcome 99'].map((outcome) => `${messageId} recipient 3 attempt 2 ${outcome}`),
    );
  });

  test('says what it needs', async () => {
    for (const env of [{}, { KAFKA_BROKERS: kafka.brokers, TOPIC: 'nobody.tells-this.v1' }]) {
      await using example = runExample(env as Record<string, string>);
      assert.deepEqual(await example.ended, [2, null]);
      assert.match(example.errors(), /^KAFKA_BROKERS is .*messaging\.message-accepted\.v1/);
    }
  });
});

/** How many records a group has still to commit. */
function lagOf(group: string, topic: string): Promise<number> {
  return withAdmin(async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    const read = new Map(committed!.partitions.map(({ partition, offset }) => [partition, Math.max(0, Number(offset))]));
    return ends.reduce((sum, { partition, high }) => sum + Number(high) - (read.get(partition) ?? 0), 0);
  });
}

function membersOf(group: string): Promise<number> {
  return withAdmin(async (admin) => (await admin.describeGroups([group])).groups[0]!.members.length);
}

async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const client = openKafka({ brokers: [kafka.brokers], clientId: 'test', logger: silent });
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    return await use(admin);
  } finally {
    client.destroy();
  }
}
