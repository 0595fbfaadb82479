// The PostgreSQL log keeps the contract.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createTestDatabase } from '@maildoot/testkit/database';
import { createPostgresLog } from '../src/postgres-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { eventLogContract, type LogHarness } from './contract.ts';
import { openProducer, silent } from './fixtures.ts';

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
    async startHangingConsumer(group) {
      const child = spawn(process.execPath, [fileURLToPath(new URL('./hanging-consumer.ts', import.meta.url)), group], {
        env: { ...process.env, DATABASE_URL: url },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      return {
        lines: () => text.split('\n'),
        async kill() {
          child.kill('SIGKILL');
          await exited;
        },
      };
    },
    async parked(group) {
      const { rows } = await database.pool.query<{ id: string; reason: string; error: string }>(
        'SELECT event_id AS id, reason, error FROM event_log.parked WHERE group_name = $1 ORDER BY partition, position',
        [group],
      );
      return rows;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
