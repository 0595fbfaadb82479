// What recording costs per message on this machine: outcomes, acceptances, and their places in the feed. Two events per outcome (queued,
// delivered), one per acceptance. One connection after the other, so that times are CPU and commits, not waiting.
//   node services/messaging/test/measure.ts [messages, default 20000]
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { ensurePartitions } from '@maildoot/db/partitions';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { startTestPostgres } from '@maildoot/testkit/postgres';
import type pg from 'pg';
import { positionAt } from '../src/feed.ts';
import { keepEvents, ownEvents } from '../src/keep-events.ts';
import { type RecipientOutcome, recordOutcomes } from '../src/record-outcomes.ts';
import { initialCounts } from '../src/status.ts';
import { sequence } from '../src/store/feed.ts';

const count = Number(process.argv[2] ?? 20_000);
const tenantId = newUuid();

await using server = await startTestPostgres();
const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url))];
await migrate({ url: server.url, schema: 'messaging', migrations });
await using database = openDatabase({ url: server.url, schema: 'messaging', maxConnections: 1, applicationName: 'measure' });
for (const table of ['message', 'recipient', 'message_event', 'content'] as const)
  await ensurePartitions(database.pool, { table, by: 'uuidv7' });
await ensurePartitions(database.pool, { table: 'feed', by: 'timestamp' });
const ids = await insertMessages(database.pool);

console.log('per message                     wall µs   PostgreSQL µs   Node µs   WAL bytes');
await measure('acceptances, 500 a batch', 500, async (client, batch) => {
  const messages = batch.map((id) => ({ id, tenantId, sendAt: null }));
  return await keepEvents(client, await ownEvents(client, messages));
});
await measure('outcomes, 200 a batch', 200, (client, batch) => recordOutcomes(client, batch.map(outcomeOf), new Date()));
await measurePlaces(database);

async function insertMessages(pool: pg.Pool): Promise<string[]> {
  const made = Array.from({ length: count }, newUuid);
  const { RECIPIENT_STATUS_QUEUED: queued } = RecipientStatus;
  await pool.query(
    `INSERT INTO message SELECT id, $2, NULL, $3, $4, 'a@x.example', '', '[]', 'Hello', '[]', '{}', NULL, 700, false FROM unnest($1::uuid[]) AS id`,
    [made, tenantId, MessageStatus.MESSAGE_STATUS_QUEUED, initialCounts(queued, 1)],
  );
  await pool.query(`INSERT INTO recipient SELECT id, 0, $2, 1, 'b@y.example', '', $3, 0, NULL, NULL FROM unnest($1::uuid[]) AS id`, [
    made,
    tenantId,
    queued,
  ]);
  return made;
}

function outcomeOf(messageId: string): RecipientOutcome {
  const at = new Date();
  const event = AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', messageId),
    tenantId: uuidToId('ten', tenantId),
    recipient: 'b@y.example',
    attempt: 1,
    outcome: Outcome.OUTCOME_DELIVERED,
    queuedAt: at,
    startedAt: at,
    finishedAt: at,
    session: {
      host: 'mx1.rcpt.example',
      remoteAddress: '192.0.2.1:25',
      localAddress: '192.0.2.2:40404',
      tlsVersion: 'TLSv1.3',
      tlsPolicy: 'opportunistic',
      command: 'DATA',
      replyCode: 250,
      enhancedCode: '2.0.0',
      reply: '2.0.0 Ok: queued as 4XyZ1234567890',
    },
  });
  return { messageId, tenantId, outcome: Outcome.OUTCOME_DELIVERED, event };
}

async function measure(what: string, size: number, work: (client: pg.PoolClient, batch: string[]) => Promise<unknown>): Promise<void> {
  await costs(what, async () => {
    for (let from = 0; from < ids.length; from += size) await database.transaction((client) => work(client, ids.slice(from, from + size)));
  });
}

async function measurePlaces(of: Database): Promise<void> {
  await costs('places in the feed', async () => {
    while ((await sequence(of, 0n, positionAt(new Date()), 20)).rows > 0);
  });
}

/** Statistics of the one backend, from the kernel: 10 ms each way. */
async function costs(what: string, work: () => Promise<void>): Promise<void> {
  const { rows } = await database.pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const postgresMs = () => {
    const fields = readFileSync(`/proc/${rows[0]?.pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  };
  const wal = async () => {
    const { rows: now } = await database.pool.query<{ at: string }>("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS at");
    return Number(now[0]?.at);
  };
  await database.pool.query('CHECKPOINT');
  const before = { wall: performance.now(), postgres: postgresMs(), node: process.cpuUsage(), wal: await wal() };
  await work();
  const node = process.cpuUsage(before.node);
  const perMessage = (value: number) => (value / ids.length).toFixed(1);
  console.log(
    what.padEnd(28),
    perMessage((performance.now() - before.wall) * 1_000).padStart(10),
    perMessage((postgresMs() - before.postgres) * 1_000).padStart(15),
    perMessage(node.user + node.system).padStart(9),
    perMessage((await wal()) - before.wal).padStart(11),
  );
}
