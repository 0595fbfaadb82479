// The log on Kafka keeps the contract: on a real broker, of which each test has topics of its own.
import { after, before, test } from 'node:test';
import { createTestDatabase } from '@maildoot/testkit/database';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import { createKafkaLog } from '../src/kafka-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { eventLogContract, type LogHarness } from './contract.ts';
import { newTopicPrefix, openProducer, parkedOf, silent, spawnHangingConsumer } from './fixtures.ts';

const missing = kafkaMissing();
let kafka: Kafka;

if (missing === undefined) {
  before(async () => {
    kafka = await startKafka();
  });
  after(() => kafka[Symbol.asyncDispose]());
  eventLogContract('Kafka', openHarness);
} else {
  test('event log on Kafka', { skip: missing }, () => {});
}

async function openHarness(): Promise<LogHarness> {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const brokers = [kafka.brokers];
  const topicPrefix = newTopicPrefix();
  const open = async () => {
    const sequencer = startSequencer({ database, logger: silent, kafkaBrokers: brokers, topicPrefix });
    await sequencer.ready;
    return sequencer;
  };
  let sequencer = await open();
  stack.defer(() => sequencer[Symbol.asyncDispose]());
  const owned = stack.move();
  return {
    database,
    wake: () => sequencer.wake(),
    openLog: () => createKafkaLog({ brokers, url, logger: silent, clientId: 'test', topicPrefix }),
    startHangingConsumer: (group) =>
      spawnHangingConsumer(group, { DATABASE_URL: url, KAFKA_BROKERS: kafka.brokers, TOPIC_PREFIX: topicPrefix }),
    parked: (group) => parkedOf(database, group),
    async tellAgain() {
      await sequencer[Symbol.asyncDispose]();
      await database.pool.query('UPDATE outbox_published SET position = 0');
      sequencer = await open();
      const { pool } = database;
      const behind =
        'SELECT FROM outbox_head JOIN outbox_published USING (topic, shard) WHERE outbox_published.position < outbox_head.position';
      await waitFor(async () => (await pool.query(behind)).rowCount === 0, { what: 'everything to be published again' });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
