// What is particular to the log on Kafka, on a broker that works: topics, records, leases of publishers, rows that are refused, replays, long batches.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTestDatabase } from '@maildoot/testkit/database';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import { openKafka } from '../src/kafka-client.ts';
import { createKafkaLog } from '../src/kafka-log.ts';
import type { EventLog } from '../src/log.ts';
import { requestReplay } from '../src/parked.ts';
import { type Lease, Publisher } from '../src/publisher.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import {
  capturing,
  event,
  newTopicPrefix,
  numberOf,
  openProducer,
  parkedOf,
  range,
  type StoredRecord,
  silent,
  storedRecords,
  tell,
} from './fixtures.ts';

const skip = kafkaMissing() ?? false;
let kafka: Kafka;
before(async () => {
  if (skip === false) kafka = await startKafka();
});
after(() => kafka?.[Symbol.asyncDispose]());

async function setUp() {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const topicPrefix = newTopicPrefix();
  const brokers = [kafka.brokers];
  const owned = stack.move();
  return {
    url,
    database,
    pool: database.pool,
    topicPrefix,
    topic: topicPrefix + messageAccepted.name,
    async sequence(logger = silent, leaseMs = 10_000) {
      const sequencer = startSequencer({ database, logger, kafkaBrokers: brokers, topicPrefix, leaseMs });
      await sequencer.ready;
      return sequencer;
    },
    openLog: (logger = silent) => createKafkaLog({ brokers, url, logger, clientId: 'test', topicPrefix }),
    stored: () => storedRecords(kafka.brokers, topicPrefix + messageAccepted.name),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function collect(log: EventLog, group: string): number[] {
  const numbers: number[] = [];
  log.subscribe(messageAccepted, {
    group,
    maxBatch: 50,
    async handle(records) {
      numbers.push(...records.map(numberOf));
    },
  });
  return numbers;
}

/** Each partition has the positions 1, 2, 3 … in this order, when what comes again is left out. */
function assertInOrder(records: StoredRecord[]): void {
  for (const [partition, own] of Map.groupBy(records, (record) => record.partition)) {
    const positions = [...new Set(own.map(({ position }) => position))];
    assert.deepEqual(
      positions,
      range(positions.length).map((index) => index + 1),
      `positions of partition ${partition}`,
    );
  }
}

async function withAdmin<T>(use: (admin: ReturnType<ReturnType<typeof openKafka>['kafka']['admin']>) => Promise<T>): Promise<T> {
  const client = openKafka({ brokers: [kafka.brokers], clientId: 'test', logger: silent });
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    return await use(admin);
  } finally {
    client.destroy();
  }
}

describe('event log on a working Kafka', { skip, concurrency: 4 }, () => {
  test('a topic has the partitions, the retention and the limit of the topic table', async () => {
    await using setup = await setUp();
    await using _sequencer = await setup.sequence();
    const described = await waitFor(
      () =>
        withAdmin(async (admin) => {
          const { topics } = await admin.fetchTopicMetadata({ topics: [setup.topic] });
          const { resources } = await admin.describeConfigs({
            includeSynonyms: false,
            resources: [{ type: 2, name: setup.topic }],
          });
          const configs = Object.fromEntries(resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]));
          return { partitions: topics[0]!.partitions.length, configs };
        }),
      { what: 'the topic' },
    );
    assert.equal(described.partitions, messageAccepted.partitions);
    assert.equal(described.configs['retention.ms'], String(messageAccepted.retentionDays * 86_400_000));
    assert.equal(described.configs['cleanup.policy'], 'delete');
    assert.equal(described.configs['message.timestamp.type'], 'LogAppendTime');
    assert.equal(described.configs['min.insync.replicas'], '1');
    assert.ok(Number(described.configs['max.message.bytes']) > 1_000_000);
  });

  test('a topic with another number of partitions is written by nobody, and the log says why', async () => {
    await using setup = await setUp();
    await withAdmin((admin) => admin.createTopics({ waitForLeaders: false, topics: [{ topic: setup.topic, numPartitions: 3 }] }));
    const { logger, logs } = capturing();
    await using sequencer = await setup.sequence(logger);
    await using log = setup.openLog(logger);
    collect(log, 'g');
    await tell(setup.database, event('k', 1));
    sequencer.wake();
    for (const msg of [/Kafka takes no events/, /a consumer lost the log/]) {
      const line = await logs.waitForRecord((record) => msg.test(String(record.msg)), `a line like ${msg}`);
      assert.match(JSON.stringify(line), /has 3 partitions in Kafka, and 16 in the topic table/);
    }
    assert.deepEqual(await setup.stored(), []);
  });

  test('a record carries id, time, trace and position for whoever reads it', async () => {
    await using setup = await setUp();
    await using sequencer = await setup.sequence();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await tell(setup.database, event('k', 1), event('k', 2));
    await setup.pool.query('UPDATE outbox SET traceparent = $1', [traceparent]);
    sequencer.wake();
    const records = await waitFor(async () => ((await setup.stored()).length === 2 ? setup.stored() : undefined), { what: 'both records' });
    const { rows } = await setup.pool.query<{ id: string; shard: number }>('SELECT id, shard FROM outbox ORDER BY position');
    for (const [index, { partition, key, headers, timestampMs }] of records.entries()) {
      assert.deepEqual([partition, key, headers.id], [rows[index]!.shard, 'k', rows[index]!.id]);
      assert.equal(headers.position, String(index + 1));
      assert.equal(headers.traceparent, traceparent);
      const publishedAtMs = Date.parse(headers['published-at']!);
      assert.ok(publishedAtMs <= timestampMs && publishedAtMs > timestampMs - 30_000, `${headers['published-at']} and ${timestampMs}`);
    }
  });

  test('a row that Kafka refuses for good is kept aside with an alarm, its shard goes on, and it can be told once more', async () => {
    await using setup = await setUp();
    await withAdmin((admin) =>
      admin.createTopics({
        waitForLeaders: false,
        topics: [{ topic: setup.topic, numPartitions: 16, configEntries: [{ name: 'max.message.bytes', value: '2000' }] }],
      }),
    );
    const { logger, logs } = capturing();
    await using sequencer = await setup.sequence(logger);
    await using log = setup.openLog();
    const numbers = collect(log, 'g');
    const large = { ...event('k', 3), mailFrom: 'marker'.repeat(1_000) };
    await tell(setup.database, event('k', 1), event('k', 2), large, event('k', 4), event('other', 5));
    sequencer.wake();
    await waitFor(() => numbers.length === 4, { what: 'the others' });
    assert.deepEqual(
      numbers.filter((number) => number !== 5),
      [1, 2, 4],
    );
    const { rows } = await setup.pool.query<{ id: string; key: string; error: string; position: string }>('SELECT * FROM outbox_refused');
    assert.deepEqual(
      rows.map(({ key, position }) => [key, position]),
      [['k', '3']],
    );
    assert.match(rows[0]!.error, /larger than the max/);
    const line = await logs.waitForRecord(({ msg }) => msg === 'outbox: Kafka refused a row for good, it was kept aside', 'the alarm');
    assert.deepEqual([line.level, line.event], ['error', rows[0]!.id]);
    assert.doesNotMatch(logs.text, /marker/);
    // As the README says, when the cause is gone.
    await withAdmin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: 2, name: setup.topic, configEntries: [{ name: 'max.message.bytes', value: '1100000' }] }],
      }),
    );
    await waitFor(
      async () => {
        // Again, where the broker had not heard of its new limit yet.
        await setup.pool.query(
          "UPDATE outbox SET position = NULL, serial = nextval('outbox_serial') WHERE id IN (SELECT id FROM outbox_refused); DELETE FROM outbox_refused",
        );
        sequencer.wake();
        return numbers.includes(3);
      },
      { what: 'the record', intervalMs: 200 },
    );
    assert.equal(numbers.length, 5);
  });

  test('a publisher without its lease publishes nothing, and with it everything', async () => {
    await using setup = await setUp();
    await using sequencer = startSequencer({ database: setup.database, logger: silent });
    await sequencer.ready;
    await tell(setup.database, ...range(20).map((number) => event(`key ${number}`, number)));
    sequencer.wake();
    const unsequenced = 'SELECT FROM outbox WHERE position IS NULL';
    await waitFor(async () => (await setup.pool.query(unsequenced)).rowCount === 0, { what: 'positions' });
    let lease: Lease = { shards: range(16), untilMs: performance.now() - 1, term: 1 };
    let asked = 0;
    await using publisher = new Publisher({
      database: setup.database,
      brokers: [kafka.brokers],
      topicPrefix: setup.topicPrefix,
      logger: silent,
      lease() {
        asked++;
        return lease;
      },
    });
    publisher.start();
    // Each attempt asks before it reads and before it sends.
    await waitFor(() => asked > 20, { what: 'ten attempts' });
    assert.deepEqual(await setup.stored(), []);
    lease = { ...lease, untilMs: performance.now() + 60_000, term: 2 };
    await waitFor(async () => (await setup.stored()).length === 20, { what: 'the records' });
    assertInOrder(await setup.stored());
  });

  test('publishers that take the shards from each other lose nothing, keep the order, and repeat nothing when they stop in peace', async () => {
    await using setup = await setUp();
    let current = await setup.sequence();
    await using _ = { [Symbol.asyncDispose]: () => current[Symbol.asyncDispose]() };
    let told = 0;
    for (const _round of range(5)) {
      const next = await setup.sequence();
      const telling = (async () => {
        for (const _turn of range(20)) {
          await tell(setup.database, ...range(10).map((key) => event(`key ${key}`, told++)));
          current.wake();
        }
      })();
      await delay(30);
      await current[Symbol.asyncDispose]();
      current = next;
      await telling;
      await waitFor(() => current.shards.length === 16, { what: 'the shards to move' });
    }
    current.wake();
    await waitFor(async () => (await setup.stored()).length >= told, { what: 'all records' });
    const records = await setup.stored();
    assertInOrder(records);
    assert.equal(new Set(records.map(({ id }) => id)).size, told);
    assert.equal(records.length, told, 'a peaceful change of hands repeated records');
  });

  test('a holder that was stopped past its lease and goes on publishes nothing out of order, and no more than what was under way', async () => {
    await using setup = await setUp();
    const child = spawn(process.execPath, [fileURLToPath(new URL('./publishing-process.ts', import.meta.url))], {
      env: { ...process.env, DATABASE_URL: setup.url, KAFKA_BROKERS: kafka.brokers, TOPIC_PREFIX: setup.topicPrefix, LEASE_MS: '1500' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await using _child = {
      async [Symbol.asyncDispose]() {
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      },
    };
    await once(child.stdout, 'data');
    let told = 0;
    let telling = true;
    const producer = (async () => {
      for (; telling; ) {
        await tell(setup.database, ...range(10).map((key) => event(`key ${key}`, told++)));
        await delay(2);
      }
    })();
    try {
      // How far it says it is, by shard. Most of what it has published stands there: else a second holder would repeat nearly everything.
      const readSaved = async () => {
        const { rows } = await setup.pool.query<{ shard: number; position: number }>('SELECT shard, position::int FROM outbox_published');
        return new Map(rows.map(({ shard, position }) => [shard, position]));
      };
      const sumOf = (saved: Map<number, number>) => saved.values().reduce((sum, position) => sum + position, 0);
      await waitFor(
        async () => {
          const stored = (await setup.stored()).length;
          return stored > 300 && sumOf(await readSaved()) > stored / 2;
        },
        { what: 'records of the first holder, most of them saved as published' },
      );
      child.kill('SIGSTOP');
      const toldThen = told;
      const saved = await readSaved();
      const second = await setup.sequence(silent, 1_500);
      await using _second = second;
      await waitFor(() => second.shards.length === 16, { what: 'the second holder to take over' });
      const before = (await setup.stored()).length;
      await waitFor(async () => (await setup.stored()).length > before + 300, { what: 'records of the second holder' });
      child.kill('SIGCONT');
      const then = (await setup.stored()).length;
      await waitFor(async () => (await setup.stored()).length > then + 500, { what: 'records after the first has come back' });
      telling = false;
      await producer;
      await waitFor(async () => new Set((await setup.stored()).map(({ id }) => id)).size === told, { what: 'all records' });
      assert.equal(second.shards.length, 16);
      const records = await setup.stored();
      assertInOrder(records);
      const repeated = records.length - told;
      const notSaved = toldThen - sumOf(saved);
      const seen = new Set<string>();
      const repeatedThoughSaved = records.filter(({ partition, position, id }) => {
        const isRepeated = seen.has(id);
        seen.add(id);
        return isRepeated && position <= (saved.get(partition) ?? 0);
      });
      assert.equal(repeatedThoughSaved.length, 0, 'what was saved as published is not published again');
      assert.ok(repeated <= notSaved, `${repeated} were repeated, though at most ${notSaved} were sent and not saved when it was stopped`);
    } finally {
      telling = false;
      await producer;
    }
  });

  test('parked records are handled once more when somebody asks', async () => {
    await using setup = await setUp();
    await using sequencer = await setup.sequence();
    await using log = setup.openLog();
    let broken = true;
    const handled: number[] = [];
    log.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 10,
      retry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 2 },
      async handle(records) {
        if (broken && records.some((record) => numberOf(record) === 2)) throw new TypeError('a bug');
        handled.push(...records.map(numberOf));
      },
    });
    await tell(setup.database, ...range(4).map((number) => event('k', number)));
    sequencer.wake();
    await waitFor(() => handled.length === 3, { what: 'the others' });
    assert.deepEqual(
      (await parkedOf(setup.database, 'g')).map(({ error }) => error),
      ['TypeError: a bug'],
    );
    broken = false;
    await requestReplay(setup.pool, { group: 'g' });
    await waitFor(async () => (await parkedOf(setup.database, 'g')).length === 0, { what: 'the record to leave' });
    assert.deepEqual(handled, [0, 1, 3, 2]);
  });

  test('a record of somebody else, without an id of ours, is handed over with one that stays the same', async () => {
    await using setup = await setUp();
    await using _sequencer = await setup.sequence();
    await waitFor(() => setup.stored(), { what: 'the topic' });
    const client = openKafka({ brokers: [kafka.brokers], clientId: 'test', logger: silent });
    using _client = { [Symbol.dispose]: () => client.destroy() };
    const producer = client.kafka.producer();
    await producer.connect();
    const value = Buffer.from(messageAccepted.codec.encode(event('k', 7)).finish());
    await producer.send({ topic: setup.topic, messages: [{ key: 'k', value, partition: 3 }] });
    const seen: { id: string; number: number }[][] = [];
    for (const group of ['one', 'two']) {
      await using log = setup.openLog();
      const records: { id: string; number: number }[] = [];
      log.subscribe(messageAccepted, {
        group,
        maxBatch: 10,
        async handle(batch) {
          records.push(...batch.map((record) => ({ id: record.id, number: numberOf(record) })));
        },
      });
      await waitFor(() => records.length > 0, { what: 'the record' });
      seen.push(records);
    }
    assert.match(seen[0]![0]!.id, /^[0-9a-f]{8}-[0-9a-f]{4}-8/);
    assert.equal(seen[0]![0]!.number, 7);
    assert.deepEqual(seen[0], seen[1]);
  });

  test('a batch that runs longer than a session stays with its member, also while another one joins', async () => {
    await using setup = await setUp();
    await using sequencer = await setup.sequence();
    await tell(setup.database, event('k', 1));
    sequencer.wake();
    await using first = setup.openLog();
    const leave = Promise.withResolvers<void>();
    using _leave = { [Symbol.dispose]: () => leave.resolve() };
    const calls: string[] = [];
    first.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 10,
      async handle() {
        calls.push('first');
        await leave.promise;
      },
    });
    await waitFor(() => calls.length === 1, { what: 'the batch to run' });
    await using second = setup.openLog();
    const subscription = second.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 10,
      async handle() {
        calls.push('second');
      },
    });
    // One and a half sessions.
    await delay(9_000);
    assert.deepEqual([calls, subscription.partitions], [['first'], []]);
    leave.resolve();
    await waitFor(() => subscription.partitions.length === 8, { what: 'the second to have its share' });
    await tell(setup.database, ...range(50).map((number) => event(`key ${number}`, number)));
    sequencer.wake();
    await waitFor(() => calls.includes('second'), { what: 'the second to get batches' });
  });
});
