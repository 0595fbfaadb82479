// Kafka is killed, stopped and missing while events are told and read: what is told goes on, and what was told comes, once and in order.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase } from '@maildoot/testkit/database';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import { createKafkaLog } from '../src/kafka-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import { capturing, event, newTopicPrefix, numberOf, openProducer, range, silent, tell } from './fixtures.ts';

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
    database,
    sequence: (logger = silent) => startSequencer({ database, logger, kafkaBrokers: brokers, topicPrefix }),
    openLog: ({ logger = silent, silentAfterMs = 20_000 } = {}) =>
      createKafkaLog({ brokers, url, logger, clientId: 'test', topicPrefix, silentAfterMs }),
    sequenced: async () => (await database.pool.query('SELECT FROM outbox WHERE position IS NOT NULL')).rowCount ?? 0,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe('event log without its Kafka', { skip }, () => {
  test('killed under load: telling does not slow down, nothing is lost, keys keep their order, consumers go on within seconds', async () => {
    await using setup = await setUp();
    const { logger, logs } = capturing();
    await using sequencer = setup.sequence(logger);
    await sequencer.ready;
    await using log = setup.openLog();
    const seen = new Map<string, { key: string; number: number }>();
    log.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 20,
      async handle(records) {
        for (const record of records) if (!seen.has(record.id)) seen.set(record.id, { key: record.key, number: numberOf(record) });
      },
    });
    const told = new Map<string, number>();
    let telling = true;
    let slowestMs = 0;
    const producers = range(4).map(async (producer) => {
      const key = `k${producer}`;
      for (let number = 0; telling; number++) {
        const startMs = performance.now();
        await tell(setup.database, event(key, number));
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
        told.set(key, number + 1);
        sequencer.wake();
        await delay(1);
      }
    });
    await using _telling = {
      async [Symbol.asyncDispose]() {
        telling = false;
        await Promise.allSettled(producers);
      },
    };
    await waitFor(() => seen.size > 200, { what: 'records before' });
    const killedAtMs = performance.now();
    kafka.kill('SIGKILL');
    await kafka.stopped;
    await logs.waitForRecord(({ msg }) => String(msg).startsWith('outbox: Kafka takes no events'), 'the warning');
    const before = [...told.values()].reduce((sum, count) => sum + count, 0);
    await waitFor(() => [...told.values()].reduce((sum, count) => sum + count, 0) > before + 200, {
      what: 'more to be told without Kafka',
    });
    await waitFor(async () => (await setup.sequenced()) > before + 100, { what: 'positions to be given without Kafka' });
    await kafka.restart();
    const backAtMs = performance.now();
    const then = seen.size;
    await waitFor(() => seen.size > then + 100, { what: 'records after the restart' });
    telling = false;
    await Promise.all(producers);
    await waitFor(() => seen.size === [...told.values()].reduce((sum, count) => sum + count, 0), {
      what: 'everything that was told',
    });
    for (const [key, count] of told) {
      const numbers = [...seen.values()].filter((one) => one.key === key).map(({ number }) => number);
      assert.deepEqual(numbers, range(count), `order of ${key}`);
    }
    const awayMs = backAtMs - killedAtMs;
    assert.ok(slowestMs < awayMs / 2, `telling once took ${slowestMs} ms, while Kafka was away for ${awayMs} ms`);
    await logs.waitForRecord(({ msg }) => msg === 'outbox: Kafka takes events again', 'the end of the outage');
  });

  test('missing at the start: the sequencer starts, positions are given, and it is caught up with later', async () => {
    await using setup = await setUp();
    kafka.kill('SIGKILL');
    await kafka.stopped;
    await using sequencer = setup.sequence();
    await sequencer.ready;
    await using log = setup.openLog();
    const numbers: number[] = [];
    log.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 20,
      async handle(records) {
        numbers.push(...records.map(numberOf));
      },
    });
    await tell(setup.database, ...range(20).map((number) => event('k', number)));
    sequencer.wake();
    await waitFor(async () => (await setup.sequenced()) === 20, { what: 'positions' });
    await kafka.restart();
    await waitFor(() => numbers.length === 20, { what: 'the records' });
    assert.deepEqual(numbers, range(20));
  });

  test('closing does not wait for it', async () => {
    await using setup = await setUp();
    const sequencer = setup.sequence();
    await sequencer.ready;
    const log = setup.openLog();
    const subscription = log.subscribe(messageAccepted, { group: 'g', maxBatch: 1, async handle() {} });
    await waitFor(() => subscription.partitions.length === 16, { what: 'partitions' });
    kafka.kill('SIGSTOP');
    try {
      await tell(setup.database, event('k', 1));
      sequencer.wake();
      const startMs = performance.now();
      await Promise.all([log[Symbol.asyncDispose](), sequencer[Symbol.asyncDispose]()]);
      const tookMs = performance.now() - startMs;
      // A request that is not answered is given up after 10 s.
      assert.ok(tookMs < 9_000, `it took ${tookMs} ms`);
    } finally {
      kafka.kill('SIGCONT');
    }
  });

  test('silent: a member starts nothing past its lease, gives the connection up, says how long it has heard nothing, and goes on afterwards', async () => {
    await using setup = await setUp();
    await using sequencer = setup.sequence();
    await sequencer.ready;
    const { logger, logs } = capturing();
    await using log = setup.openLog({ logger, silentAfterMs: 3_000 });
    const handledAtMs: number[] = [];
    let slow = false;
    const subscription = log.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 1,
      concurrency: 1,
      async handle() {
        handledAtMs.push(performance.now());
        if (slow) await delay(100);
      },
    });
    const publish = async (count: number) => {
      await tell(setup.database, ...range(count).map((number) => event(`key ${number}`, number)));
      sequencer.wake();
    };
    await publish(1);
    await waitFor(() => handledAtMs.length === 1, { what: 'the first record' });
    slow = true;
    // Twelve seconds of work, all in memory soon.
    await publish(120);
    await waitFor(() => handledAtMs.length > 5, { what: 'work' });
    kafka.kill('SIGSTOP');
    try {
      const stoppedAtMs = performance.now();
      await logs.waitForRecord(({ err }) => /Kafka has not answered for/.test(JSON.stringify(err ?? '')), 'the connection to be given up');
      await waitFor(() => performance.now() > stoppedAtMs + 7_500, { what: 'the lease to be over' });
      const last = handledAtMs.at(-1)! - stoppedAtMs;
      assert.ok(handledAtMs.length < 100, 'there was nothing left to do');
      assert.ok(last < 5_500, `a batch began ${last} ms after the last sign of life`);
      assert.ok(subscription.lastFetchAgeMs() > 5_000, `${subscription.lastFetchAgeMs()} ms since the last answer`);
    } finally {
      kafka.kill('SIGCONT');
    }
    slow = false;
    await waitFor(() => handledAtMs.length >= 121, { what: 'the rest' });
    await waitFor(() => subscription.lastFetchAgeMs() < 2_000, { what: 'answers' });
  });
});
