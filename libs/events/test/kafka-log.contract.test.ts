// The log on Kafka keeps the contract: on a real broker, of which each test has topics of its own.
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createTestDatabase } from '@maildoot/testkit/database';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { createKafkaLog } from '../src/kafka-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { eventLogContract, type LogHarness } from './contract.ts';
import { openProducer, parkedOf, silent, spawnHangingConsumer } from './fixtures.ts';

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
  const topicPrefix = `t${randomBytes(4).toString('hex')}.`;
  const sequencer = stack.use(startSequencer({ database, logger: silent, kafkaBrokers: brokers, topicPrefix }));
  await sequencer.ready;
  const owned = stack.move();
  return {
    database,
    wake: () => sequencer.wake(),
    openLog: () => createKafkaLog({ brokers, url, logger: silent, clientId: 'test', topicPrefix }),
    startHangingConsumer: (group) =>
      spawnHangingConsumer(group, { DATABASE_URL: url, KAFKA_BROKERS: kafka.brokers, TOPIC_PREFIX: topicPrefix }),
    parked: (group) => parkedOf(database, group),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
