// A sequencer that publishes, in a process of its own: node publishing-process.ts; DATABASE_URL, KAFKA_BROKERS, TOPIC_PREFIX, LEASE_MS. Prints a line
// when it has started.
import { openDatabase } from '@maildoot/db/database';
import { startSequencer } from '../src/sequencer.ts';
import { silent } from './fixtures.ts';

const { DATABASE_URL: url = '', KAFKA_BROKERS = '', TOPIC_PREFIX: topicPrefix = '', LEASE_MS } = process.env;
const database = openDatabase({ url, schema: 'messaging', maxConnections: 2, applicationName: 'publishing process' });
const kafkaBrokers = KAFKA_BROKERS.split(',');
const sequencer = startSequencer({ database, logger: silent, kafkaBrokers, topicPrefix, leaseMs: Number(LEASE_MS) });
await sequencer.ready;
console.log('ready');
