// From the feed to due rows. A callback's position in its tenant's feed and the rows for what lies before it change in one transaction, and
// places in the feed become visible in their order: nothing can be skipped, whoever is killed. A replay is a position of its own that goes
// over a stretch of the feed again.
//
// Each pass gives every callback that has news one page, so that a long replay or a busy tenant takes turns with the others.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { feedEventJson } from '@maildoot/webhooks/event-json';
import { chooses } from '@maildoot/webhooks/event-types';
import type pg from 'pg';
import { createFeed, type FeedPage } from '../feed.ts';
import {
  callbacksWithNews,
  type FeedWalk,
  insertDue,
  lockCallback,
  lockReplay,
  movePosition,
  moveReplay,
  type NewDue,
  replaysToGoOn,
  takenAmong,
} from '../store/callback-work.ts';

const pageEvents = 200;
const ofOnePass = 200;
const atOneTime = 3;

/** What a turn came to. */
export interface Dispatched {
  /** How many rows became due. */
  due: number;
  /** Somebody was moved on: there may be more. */
  moved: boolean;
}

/** One turn for everybody who has something new. `onFailure`: of one of them, which is tried again in the next turn. */
export async function dispatch(database: Database, clock: Clock, onFailure: (error: unknown) => void): Promise<Dispatched> {
  const { pool } = database;
  const now = clock.now();
  const callbacks = await callbacksWithNews(pool, now, ofOnePass);
  const replays = await replaysToGoOn(pool, now, ofOnePass);
  const work = [...callbacks.map((id) => () => walk(database, id, now)), ...replays.map((id) => () => walkReplay(database, id, now))];
  const done: Dispatched = { due: 0, moved: false };
  const worker = async () => {
    for (let next = work.shift(); next !== undefined; next = work.shift()) {
      const due = await next().catch(onFailure);
      if (due === undefined) continue;
      done.due += due;
      done.moved = true;
    }
  };
  await Promise.all(Array.from({ length: atOneTime }, worker));
  return done;
}

/** Undefined: another process has its turn. */
async function walk(database: Database, id: string, now: Date): Promise<number | undefined> {
  return await database.transaction(async (client) => {
    const callback = await lockCallback(client, id);
    if (callback === undefined) return undefined;
    const page = await pageOf(client, callback);
    const due = page.events.map(newDue).filter((event) => chooses(callback.events, event.type));
    await insertDue(client, callback.lane, due, now, false);
    await movePosition(client, callback.callbackId, page.next);
    return due.length;
  });
}

async function walkReplay(database: Database, id: string, now: Date): Promise<number | undefined> {
  return await database.transaction(async (client) => {
    const replay = await lockReplay(client, id);
    if (replay === undefined) return undefined;
    const page = await pageOf(client, replay);
    const chosen = page.events
      .filter(({ seq }) => seq <= replay.until)
      .map(newDue)
      .filter((event) => chooses(replay.events, event.type));
    const taken = replay.onlyFailed ? await takenAmong(client, replay.callbackId, chosen) : new Set();
    const due = chosen.filter((event) => !taken.has(event.eventId));
    await insertDue(client, replay.lane, due, now, true);
    const over = !page.more || page.next >= replay.until;
    await moveReplay(client, replay.replayId, over ? undefined : page.next);
    return due.length;
  });
}

function pageOf(client: pg.PoolClient, { tenantId, position }: FeedWalk): Promise<FeedPage> {
  return createFeed(client).page(tenantId, position, pageEvents);
}

function newDue(told: FeedPage['events'][number]): NewDue {
  const eventId = idToUuid('evt', told.event!.id)!;
  return {
    eventId,
    aboutId: idToUuid('msg', told.messageId) ?? eventId,
    recipientNumber: told.recipientNumber,
    type: told.event!.type,
    body: Buffer.from(JSON.stringify(feedEventJson(told))),
    test: false,
  };
}
