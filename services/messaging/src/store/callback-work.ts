// The rows by which events are told: finding what is new, claiming what is due, recording what came of it. Several processes work on them;
// who works on what is decided by row locks and by claims, which go by heartbeats in PostgreSQL's time.
//
// Order of locks, everywhere: the callback's row before its due rows.
import { booleanArray, byteaArray, integerArray, smallintArray, textArray, timestampArray, uuidArray } from '@maildoot/db/parameters';
import { CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { newUuid } from '@maildoot/runtime/ids';
import { testEventType } from '@maildoot/webhooks/event-types';
import type pg from 'pg';
import type { AttemptRow } from './callbacks.ts';

type Queryable = Pick<pg.Pool | pg.PoolClient, 'query'>;

/** A process that is silent for so long is dead: what it was about to tell is told by another. */
const workerSilentS = 10;

// ── from the feed to due rows ────────────────────────────────────────────────────────────────────────────────────────────

// With so many overdue, more of them would only wait in another place.
const overdueMost = 1_000;

const hasRoom = `(SELECT count(*) FROM (
    SELECT FROM callback_due d WHERE d.lane = c.lane AND d.claimed_by IS NULL AND d.due_at <= $1 LIMIT ${overdueMost}
  ) AS overdue) < ${overdueMost}`;

/** The time that is in a place of the feed. */
const timeOf = (place: string) => `to_timestamp((${place} >> 10) / 1000.0)`;

/** Callbacks whose tenants' feeds go on behind their position, in no order. */
export async function callbacksWithNews(on: Queryable, now: Date, most: number): Promise<string[]> {
  const { rows } = await on.query<{ id: string }>({
    name: 'callbacks-with-news',
    text: `
      SELECT c.id FROM callback c
      WHERE c.enabled AND EXISTS (
        SELECT FROM feed f WHERE f.tenant_id = c.tenant_id AND f.last_seq > c.position AND f.at >= ${timeOf('c.position')}
      ) AND ${hasRoom}
      ORDER BY random() LIMIT $2`,
    values: [now, most],
  });
  return rows.map((row) => row.id);
}

/** Replays that are not at their end, in no order. */
export async function replaysToGoOn(on: Queryable, now: Date, most: number): Promise<string[]> {
  const { rows } = await on.query<{ id: string }>({
    name: 'callback-replays',
    text: `SELECT r.id FROM callback_replay r JOIN callback c ON c.id = r.callback_id WHERE c.enabled AND ${hasRoom} ORDER BY random() LIMIT $2`,
    values: [now, most],
  });
  return rows.map((row) => row.id);
}

export interface FeedWalk {
  callbackId: string;
  tenantId: string;
  lane: string;
  events: string[];
  position: bigint;
}

interface RawWalk extends Omit<FeedWalk, 'position'> {
  position: string;
}

const walkColumns = 'c.id AS "callbackId", c.tenant_id AS "tenantId", c.lane, c.events';

/** Undefined: another process walks it now, or it is disabled or gone. */
export async function lockCallback(client: pg.PoolClient, id: string): Promise<FeedWalk | undefined> {
  const { rows } = await client.query<RawWalk>({
    name: 'callback-lock',
    text: `SELECT ${walkColumns}, c.position::text AS position FROM callback c WHERE c.id = $1 AND c.enabled FOR NO KEY UPDATE SKIP LOCKED`,
    values: [id],
  });
  return rows[0] && { ...rows[0], position: BigInt(rows[0].position) };
}

export interface ReplayWalk extends FeedWalk {
  replayId: string;
  until: bigint;
  onlyFailed: boolean;
}

export async function lockReplay(client: pg.PoolClient, id: string): Promise<ReplayWalk | undefined> {
  const { rows } = await client.query<RawWalk & { replayId: string; until: string; onlyFailed: boolean }>({
    name: 'callback-replay-lock',
    text: `
      SELECT ${walkColumns}, r.position::text AS position, r.until::text AS until, r.only_failed AS "onlyFailed", r.id AS "replayId"
      FROM callback_replay r JOIN callback c ON c.id = r.callback_id WHERE r.id = $1 AND c.enabled FOR NO KEY UPDATE SKIP LOCKED`,
    values: [id],
  });
  return rows[0] && { ...rows[0], position: BigInt(rows[0].position), until: BigInt(rows[0].until) };
}

export async function movePosition(client: pg.PoolClient, callbackId: string, position: bigint): Promise<void> {
  await client.query({
    name: 'callback-move',
    text: 'UPDATE callback SET position = $2 WHERE id = $1',
    values: [callbackId, String(position)],
  });
}

/** `position` undefined: it is at its end. */
export async function moveReplay(client: pg.PoolClient, replayId: string, position: bigint | undefined): Promise<void> {
  if (position === undefined) await client.query('DELETE FROM callback_replay WHERE id = $1', [replayId]);
  else await client.query('UPDATE callback_replay SET position = $2 WHERE id = $1', [replayId, String(position)]);
}

export interface NewDue {
  eventId: string;
  aboutId: string;
  recipientNumber: number;
  type: string;
  body: Uint8Array;
  test: boolean;
}

/** What is due already is due once; `again`: from its first attempt, and now. */
export async function insertDue(client: Queryable, lane: string, events: readonly NewDue[], now: Date, again: boolean): Promise<void> {
  if (events.length === 0) return;
  await client.query({
    name: again ? 'callback-due-again' : 'callback-due-insert',
    text: `
      INSERT INTO callback_due (lane, event_id, about_id, recipient_number, type, test, attempts, due_at, body)
      SELECT $1, event_id, about_id, recipient_number, type, test, 0, $2, body
      FROM unnest($3::uuid[], $4::uuid[], $5::smallint[], $6::text[], $7::bool[], $8::bytea[])
        AS told (event_id, about_id, recipient_number, type, test, body)
      ON CONFLICT (lane, event_id) DO ${again ? 'UPDATE SET attempts = 0, due_at = excluded.due_at WHERE callback_due.claimed_by IS NULL' : 'NOTHING'}`,
    values: [
      lane,
      now,
      uuidArray(events.map((event) => event.eventId)),
      uuidArray(events.map((event) => event.aboutId)),
      smallintArray(events.map((event) => event.recipientNumber)),
      textArray(events.map((event) => event.type)),
      booleanArray(events.map((event) => event.test)),
      byteaArray(events.map((event) => event.body)),
    ],
  });
}

/** Those of the events that this callback has taken at some time. */
export async function takenAmong(on: Queryable, callbackId: string, events: readonly NewDue[]): Promise<Set<string>> {
  if (events.length === 0) return new Set();
  const { rows } = await on.query<{ event_id: string }>(
    `SELECT DISTINCT event_id FROM callback_attempt
     WHERE about_id = ANY($2::uuid[]) AND callback_id = $1 AND event_id = ANY($3::uuid[]) AND outcome = ${CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED}`,
    [callbackId, uuidArray([...new Set(events.map((event) => event.aboutId))]), uuidArray(events.map((event) => event.eventId))],
  );
  return new Set(rows.map((row) => row.event_id));
}

// ── claiming ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ClaimedDue {
  lane: string;
  eventId: string;
  aboutId: string;
  recipientNumber: number;
  type: string;
  test: boolean;
  attempts: number;
  body: Buffer;
  callbackId: string;
  tenantId: string;
  url: string;
  secret: Buffer;
  previousSecret: Buffer | null;
  previousUntil: Date | null;
}

/** Whether something is due that isn't paused. Reads alone: a claim takes a lock even where it finds nothing. */
export async function isDue(on: Queryable, now: Date): Promise<boolean> {
  const { rows } = await on.query<{ due: boolean }>({
    name: 'callback-is-due',
    text: `
      SELECT EXISTS (
        SELECT FROM callback c
        WHERE (paused_until IS NULL OR paused_until <= $1)
          AND EXISTS (SELECT FROM callback_due d WHERE d.lane = c.lane AND d.claimed_by IS NULL AND d.due_at <= $1)
      ) AS due`,
    values: [now],
  });
  return rows[0]!.due;
}

/**
 * Takes what is due: of each callback the first as many as it has places, of all no more than `most`. Nothing for a process that was taken
 * for dead: nobody would free it a second time.
 */
export async function claimDue(
  on: Queryable,
  claim: { workerId: string; now: Date; most: number; ofUnknown: number; known: readonly { lane: string; places: number }[] },
): Promise<ClaimedDue[]> {
  const { rows } = await on.query<ClaimedDue>({
    name: 'callback-claim',
    text: `
      WITH picked AS MATERIALIZED (
        SELECT d.lane, d.event_id, c.id, c.tenant_id, c.url, c.secret, c.previous_secret, c.previous_until
        FROM (SELECT FROM callback_worker WHERE id = $1 FOR KEY SHARE) AS alive
        CROSS JOIN (
          SELECT callback.*, coalesce(known.places, $4) AS places
          FROM callback LEFT JOIN unnest($5::uuid[], $6::int[]) AS known (lane, places) USING (lane)
          WHERE (paused_until IS NULL OR paused_until <= $2) AND coalesce(known.places, $4) > 0
          ORDER BY random()
        ) AS c
        CROSS JOIN LATERAL (
          SELECT lane, event_id FROM callback_due
          WHERE lane = c.lane AND claimed_by IS NULL AND due_at <= $2
          ORDER BY due_at LIMIT c.places FOR UPDATE SKIP LOCKED
        ) AS d
        LIMIT $3
      )
      UPDATE callback_due d SET claimed_by = $1 FROM picked p WHERE d.lane = p.lane AND d.event_id = p.event_id
      RETURNING d.lane, d.event_id AS "eventId", d.about_id AS "aboutId", d.recipient_number AS "recipientNumber", d.type, d.test, d.attempts, d.body,
        p.id AS "callbackId", p.tenant_id AS "tenantId", p.url, p.secret, p.previous_secret AS "previousSecret", p.previous_until AS "previousUntil"`,
    values: [
      claim.workerId,
      claim.now,
      claim.most,
      claim.ofUnknown,
      uuidArray(claim.known.map((one) => one.lane)),
      integerArray(claim.known.map((one) => one.places)),
    ],
  });
  return rows;
}

// ── recording ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Ended {
  lane: string;
  attempt: AttemptRow;
  /** Not to be tried again: told, or given up. */
  over: boolean;
}

export async function insertAttempts(on: Queryable, attempts: readonly AttemptRow[]): Promise<void> {
  if (attempts.length === 0) return;
  await on.query({
    name: 'callback-attempts',
    text: `
      INSERT INTO callback_attempt (id, callback_id, tenant_id, event_id, about_id, recipient_number, type, number, at, duration_ms, outcome,
        http_status, detail, next_attempt_at)
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[], $7::text[], $8::smallint[],
        $9::timestamptz[], $10::int[], $11::smallint[], $12::smallint[], $13::text[], $14::timestamptz[])
      ON CONFLICT DO NOTHING`,
    values: [
      uuidArray(attempts.map((one) => one.id)),
      uuidArray(attempts.map((one) => one.callbackId)),
      uuidArray(attempts.map((one) => one.tenantId)),
      uuidArray(attempts.map((one) => one.eventId)),
      uuidArray(attempts.map((one) => one.aboutId)),
      smallintArray(attempts.map((one) => one.recipientNumber)),
      textArray(attempts.map((one) => one.type)),
      smallintArray(attempts.map((one) => one.number)),
      timestampArray(attempts.map((one) => one.at)),
      integerArray(attempts.map((one) => one.durationMs)),
      smallintArray(attempts.map((one) => one.outcome)),
      smallintArray(attempts.map((one) => one.httpStatus)),
      textArray(attempts.map((one) => one.detail)),
      timestampArray(attempts.map((one) => one.nextAttemptAt)),
    ],
  });
}

/** Fenced: a row that was freed for another process meanwhile is that one's. */
export async function settleDue(client: Queryable, workerId: string, ended: readonly Ended[]): Promise<void> {
  const over = ended.filter((one) => one.over);
  const again = ended.filter((one) => !one.over);
  if (over.length > 0)
    await client.query({
      name: 'callback-due-over',
      text: `DELETE FROM callback_due d USING unnest($1::uuid[], $2::uuid[]) AS o (lane, event_id)
             WHERE d.lane = o.lane AND d.event_id = o.event_id AND d.claimed_by = $3`,
      values: [uuidArray(over.map((one) => one.lane)), uuidArray(over.map((one) => one.attempt.eventId)), workerId],
    });
  if (again.length > 0)
    await client.query({
      name: 'callback-due-again-later',
      text: `UPDATE callback_due d SET attempts = a.number, due_at = a.due_at, claimed_by = NULL
             FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::timestamptz[]) AS a (lane, event_id, number, due_at)
             WHERE d.lane = a.lane AND d.event_id = a.event_id AND d.claimed_by = $5`,
      values: [
        uuidArray(again.map((one) => one.lane)),
        uuidArray(again.map((one) => one.attempt.eventId)),
        smallintArray(again.map((one) => one.attempt.number)),
        timestampArray(again.map((one) => one.attempt.nextAttemptAt!)),
        workerId,
      ],
    });
}

/** An attempt that we could not make, for a reason of our own: later, and not counted. */
export async function putOff(
  on: Queryable,
  workerId: string,
  { lane, eventId }: Pick<ClaimedDue, 'lane' | 'eventId'>,
  until: Date,
): Promise<void> {
  await on.query('UPDATE callback_due SET claimed_by = NULL, due_at = $4 WHERE lane = $1 AND event_id = $2 AND claimed_by = $3', [
    lane,
    eventId,
    workerId,
    until,
  ]);
}

/** What a batch of attempts says about a callback. */
export interface Standing {
  callbackId: string;
  /** One of them was taken. */
  succeeded: boolean;
  failedAt: Date | null;
  pauseUntil: Date | null;
}

/** Locks the callbacks in the order of their ids. Those that stand as they stood are not written. */
export async function writeStandings(client: Queryable, standings: readonly Standing[]): Promise<void> {
  if (standings.length === 0) return;
  const sorted = standings.toSorted((a, b) => (a.callbackId < b.callbackId ? -1 : 1));
  await client.query({
    name: 'callback-standings',
    text: `
      WITH told AS (
        SELECT * FROM unnest($1::uuid[], $2::bool[], $3::timestamptz[], $4::timestamptz[]) AS s (id, succeeded, failed_at, pause_until)
      ), changed AS MATERIALIZED (
        SELECT c.id, told.succeeded, told.failed_at, told.pause_until FROM callback c JOIN told USING (id)
        WHERE (told.succeeded AND c.failing_since IS NOT NULL) OR (NOT told.succeeded AND c.failing_since IS NULL)
           OR told.pause_until > coalesce(c.paused_until, '-infinity')
        ORDER BY c.id FOR NO KEY UPDATE OF c
      )
      UPDATE callback c
      SET failing_since = CASE WHEN changed.succeeded THEN NULL ELSE coalesce(c.failing_since, changed.failed_at) END,
          paused_until = greatest(c.paused_until, changed.pause_until)
      FROM changed WHERE c.id = changed.id`,
    values: [
      uuidArray(sorted.map((one) => one.callbackId)),
      booleanArray(sorted.map((one) => one.succeeded)),
      timestampArray(sorted.map((one) => one.failedAt)),
      timestampArray(sorted.map((one) => one.pauseUntil)),
    ],
  });
}

/** Of what a callback hasn't taken since it began to fail, the event that happened first: what waits, and what was tried and given up. */
export async function firstMissed(on: Queryable, callbackId: string): Promise<string | undefined> {
  const { rows } = await on.query<{ event_id: string }>(
    `(SELECT d.event_id FROM callback c JOIN callback_due d USING (lane) WHERE c.id = $1 AND NOT d.test ORDER BY d.event_id LIMIT 1)
     UNION ALL
     (SELECT a.event_id FROM callback c JOIN callback_attempt a ON a.callback_id = c.id
      WHERE c.id = $1 AND a.at >= c.failing_since AND a.outcome <> ${CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED} AND a.type <> '${testEventType}'
      ORDER BY a.event_id LIMIT 1)
     ORDER BY event_id LIMIT 1`,
    [callbackId],
  );
  return rows[0]?.event_id;
}

/** Enabled callbacks of which every attempt has failed since before this. */
export async function failingSince(on: Queryable, before: Date): Promise<{ id: string; tenantId: string }[]> {
  const { rows } = await on.query<{ id: string; tenantId: string }>(
    'SELECT id, tenant_id AS "tenantId" FROM callback WHERE enabled AND failing_since <= $1 ORDER BY id LIMIT 100',
    [before],
  );
  return rows;
}

// ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export async function insertWorker(on: Queryable, id: string): Promise<void> {
  await on.query('INSERT INTO callback_worker (id, seen_at) VALUES ($1, now())', [id]);
}

/** False: the others took it for dead, and what it had claimed is theirs. */
export async function beat(on: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await on.query('UPDATE callback_worker SET seen_at = now() WHERE id = $1', [id]);
  return rowCount === 1;
}

/** Frees what a process had claimed that stops in an orderly way. */
export async function giveBack(client: Queryable, workerId: string): Promise<void> {
  await client.query('UPDATE callback_due SET claimed_by = NULL WHERE claimed_by = $1', [workerId]);
  await client.query('DELETE FROM callback_worker WHERE id = $1', [workerId]);
}

/** Frees what dead processes had claimed: it is told again under the same id, and the attempt that nobody saw the end of is kept as such. */
export async function buryWorkers(client: Queryable, now: Date): Promise<number> {
  const { rows: dead } = await client.query<{ id: string }>(
    `DELETE FROM callback_worker WHERE id IN (
       SELECT id FROM callback_worker WHERE seen_at < now() - interval '${workerSilentS} seconds' FOR UPDATE SKIP LOCKED
     ) RETURNING id`,
  );
  if (dead.length === 0) return 0;
  const { rows } = await client.query<Omit<AttemptRow, 'id' | 'durationMs' | 'outcome' | 'httpStatus' | 'detail' | 'nextAttemptAt' | 'at'>>(
    `WITH freed AS (
       UPDATE callback_due SET claimed_by = NULL WHERE claimed_by = ANY($1::uuid[]) RETURNING *
     )
     SELECT c.id AS "callbackId", c.tenant_id AS "tenantId", d.event_id AS "eventId", d.about_id AS "aboutId",
       d.recipient_number AS "recipientNumber", d.type, d.attempts + 1 AS number
     FROM freed d JOIN callback c USING (lane)`,
    [uuidArray(dead.map((one) => one.id))],
  );
  await insertAttempts(
    client,
    rows.map((row) => ({
      ...row,
      id: newUuid(),
      at: now,
      durationMs: 0,
      outcome: CallbackOutcome.CALLBACK_OUTCOME_INTERRUPTED,
      httpStatus: 0,
      detail: 'the process that made this attempt ended before the answer was kept',
      nextAttemptAt: now,
    })),
  );
  return rows.length;
}

// ── what is left behind ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Deletes some rows of lanes that nobody has any more; true: there may be more. */
export async function sweepLanes(client: Queryable, most = 2_000): Promise<boolean> {
  const { rows } = await client.query<{ lane: string }>('SELECT lane FROM callback_old_lane LIMIT 1 FOR UPDATE SKIP LOCKED');
  const lane = rows[0]?.lane;
  if (lane === undefined) return false;
  const { rowCount } = await client.query(
    'DELETE FROM callback_due WHERE lane = $1 AND event_id = ANY(ARRAY(SELECT event_id FROM callback_due WHERE lane = $1 LIMIT $2))',
    [lane, most],
  );
  // A claimed row of it that is settled later is settled to nothing.
  if ((rowCount ?? 0) < most) await client.query('DELETE FROM callback_old_lane WHERE lane = $1', [lane]);
  return true;
}

/** Callbacks whose tenant has nothing new are moved on, so that looking for news does not look at every day since. */
export async function moveIdle(client: Queryable, settled: bigint): Promise<void> {
  await client.query(
    `UPDATE callback c SET position = $1
     WHERE c.enabled AND c.position < $1 - (3600000::bigint << 10) AND NOT EXISTS (
       SELECT FROM feed f WHERE f.tenant_id = c.tenant_id AND f.last_seq > c.position AND f.at >= ${timeOf('c.position')}
     )`,
    [String(settled)],
  );
}

// ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface CallbackNotice {
  id: string;
  tenantId: string;
  subject: string;
  text: string;
}

export async function insertNotice(on: Queryable, notice: CallbackNotice & { callbackId: string; createdAt: Date }): Promise<void> {
  await on.query('INSERT INTO callback_notice (id, tenant_id, callback_id, subject, text, created_at) VALUES ($1, $2, $3, $4, $5, $6)', [
    notice.id,
    notice.tenantId,
    notice.callbackId,
    notice.subject,
    notice.text,
    notice.createdAt,
  ]);
}

export async function listNotices(on: Queryable, most = 20): Promise<CallbackNotice[]> {
  const { rows } = await on.query<CallbackNotice>(
    'SELECT id, tenant_id AS "tenantId", subject, text FROM callback_notice ORDER BY id LIMIT $1',
    [most],
  );
  return rows;
}

export async function deleteNotice(on: Queryable, id: string): Promise<void> {
  await on.query('DELETE FROM callback_notice WHERE id = $1', [id]);
}
