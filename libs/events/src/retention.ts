/** Which days of an outbox may be dropped. Time alone doesn't decide: a row that nobody has read yet may be a message nobody has sent yet. */
import pg from 'pg';

/** Asked inside the dropping transaction, with the partition locked against writers. */
export async function isReadByAll(client: pg.PoolClient, partition: string): Promise<boolean> {
  const rows = pg.escapeIdentifier(partition);
  if (!(await isSequenced(client, rows))) return false;
  const log = await client.query<{ there: boolean }>("SELECT to_regclass('event_log.subscription') IS NOT NULL AS there");
  if (log.rows[0]?.there !== true) return true;
  const unread = await client.query(
    `SELECT FROM event_log.subscription AS s
     WHERE EXISTS (SELECT FROM ${rows} AS o WHERE o.topic = s.topic AND o.shard = s.partition AND o.position > s.position)
     LIMIT 1`,
  );
  return unread.rowCount === 0;
}

/** The same where events go through Kafka: it has acknowledged every row, or refused it for good. How far its readers are is its own matter. */
export async function isPublished(client: pg.PoolClient, partition: string): Promise<boolean> {
  const rows = pg.escapeIdentifier(partition);
  if (!(await isSequenced(client, rows))) return false;
  // Jumps from partition to partition in the index: a day may have more rows than a statement has time to read.
  const unpublished = await client.query(
    `WITH RECURSIVE told AS (
       (SELECT topic, shard FROM ${rows} WHERE position IS NOT NULL ORDER BY topic, shard LIMIT 1)
       UNION ALL
       SELECT next.topic, next.shard FROM told CROSS JOIN LATERAL (
         SELECT o.topic, o.shard FROM ${rows} AS o WHERE o.position IS NOT NULL AND (o.topic, o.shard) > (told.topic, told.shard)
         ORDER BY o.topic, o.shard LIMIT 1
       ) AS next
     )
     SELECT FROM told LEFT JOIN outbox_published AS p USING (topic, shard)
     WHERE coalesce(p.position, 0) < (
       SELECT o.position FROM ${rows} AS o WHERE o.topic = told.topic AND o.shard = told.shard AND o.position IS NOT NULL
       ORDER BY o.position DESC LIMIT 1
     ) LIMIT 1`,
  );
  return unpublished.rowCount === 0;
}

async function isSequenced(client: pg.PoolClient, rows: string): Promise<boolean> {
  const waiting = await client.query(`SELECT FROM ${rows} WHERE position IS NULL LIMIT 1`);
  return waiting.rowCount === 0;
}
