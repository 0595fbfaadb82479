/**
 * Events go through one log: PostgreSQL's, or Kafka where one is given (the cluster). With Kafka nobody reads PostgreSQL's. Seen from
 * outside, in the database, while a message has gone its way through every topic.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import { onCluster, startPlatform } from '../platform.ts';

test('exactly one log is read', async () => {
  await using platform = await startPlatform();
  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', { from: 'a@shop.example', to: 'b@example.org', text: 'x' });
  assert.equal(sent.status, 202);
  // To be delivered here a message has been through both topics.
  await waitFor(async () => (await platform.call<{ status: string }>('GET', `/v1/messages/${sent.body.id}`)).body.status === 'delivered', {
    what: 'the status delivered',
  });

  const client = new pg.Client(await platform.databaseUrl());
  await client.connect();
  try {
    const readers = await rows(
      client,
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'event-log listener' AND datname = current_database()`,
    );
    const members = await rowsIfThere(client, 'event_log.member');
    const subscriptions = await rowsIfThere(client, 'event_log.subscription');
    const found = { readers: readers.length > 0, members: members.length > 0, subscriptions: subscriptions.length > 0 };
    assert.deepEqual(found, { readers: !onCluster, members: !onCluster, subscriptions: !onCluster });
    // The outbox is written and sequenced on both: its rows are what either log is made of.
    const [outbox] = await rows<{ waiting: string; all: string }>(
      client,
      `SELECT count(*) AS all, count(*) FILTER (WHERE position IS NULL) AS waiting FROM messaging.outbox`,
    );
    assert.deepEqual({ waiting: outbox?.waiting, some: Number(outbox?.all) > 0 }, { waiting: '0', some: true });
  } finally {
    await client.end();
  }
});

async function rows<T extends pg.QueryResultRow>(client: pg.Client, sql: string): Promise<T[]> {
  return (await client.query<T>(sql)).rows;
}

/** A log that nobody ever read has no tables. */
async function rowsIfThere(client: pg.Client, table: string): Promise<pg.QueryResultRow[]> {
  const [found] = await rows<{ there: boolean }>(client, `SELECT to_regclass('${table}') IS NOT NULL AS there`);
  return found?.there ? rows(client, `SELECT * FROM ${table}`) : [];
}
