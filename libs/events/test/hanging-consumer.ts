// A consumer in a process of its own that prints what it gets and never finishes with it: node hanging-consumer.ts <group>; DATABASE_URL.
import { createPostgresLog } from '../src/postgres-log.ts';
import { messageAccepted } from '../src/topics.ts';
import { numberOf, silent } from './fixtures.ts';

const [group = ''] = process.argv.slice(2);
const log = createPostgresLog({ url: process.env.DATABASE_URL ?? '', logger: silent });
log.subscribe(messageAccepted, {
  group,
  maxBatch: 10,
  async handle(records) {
    for (const record of records) process.stdout.write(`${numberOf(record)}\n`);
    await new Promise(() => {});
  },
});
