// A consumer in a process of its own that prints what it gets and never finishes with it: node hanging-consumer.ts <group>; DATABASE_URL,
// and for Kafka KAFKA_BROKERS and TOPIC_PREFIX.
import { createKafkaLog } from '../src/kafka-log.ts';
import { createPostgresLog } from '../src/postgres-log.ts';
import { messageAccepted } from '../src/topics.ts';
import { numberOf, silent } from './fixtures.ts';

const [group = ''] = process.argv.slice(2);
const { DATABASE_URL: url = '', KAFKA_BROKERS: brokers, TOPIC_PREFIX: topicPrefix = '' } = process.env;
const log =
  brokers === undefined
    ? createPostgresLog({ url, logger: silent })
    : createKafkaLog({ brokers: brokers.split(','), url, logger: silent, clientId: 'test', topicPrefix });
log.subscribe(messageAccepted, {
  group,
  maxBatch: 10,
  async handle(records) {
    for (const record of records) process.stdout.write(`${numberOf(record)} ${record.id}\n`);
    await new Promise(() => {});
  },
});
