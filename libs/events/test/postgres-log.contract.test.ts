// The PostgreSQL log keeps the contract.
import { createTestDatabase } from '@maildoot/testkit/database';
import { createPostgresLog } from '../src/postgres-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { eventLogContract, type LogHarness } from './contract.ts';
import { openProducer, parkedOf, silent, spawnHangingConsumer } from './fixtures.ts';

eventLogContract('PostgreSQL', openHarness);

async function openHarness(): Promise<LogHarness> {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const sequencer = stack.use(startSequencer({ database, logger: silent }));
  await sequencer.ready;
  const owned = stack.move();
  return {
    database,
    wake: () => sequencer.wake(),
    openLog: () => createPostgresLog({ url, logger: silent }),
    startHangingConsumer: (group) => spawnHangingConsumer(group, { DATABASE_URL: url }),
    parked: (group) => parkedOf(database, group),
    // There is one place for an event, the outbox, and a position is given once.
    tellAgain: async () => {},
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
