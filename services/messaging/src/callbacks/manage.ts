// What owners do with their callbacks. Every function is one transaction; a callback of another tenant is none.
import type { Database } from '@maildoot/db/database';
import {
  type Callback,
  CallbackDisabledReason,
  CreateCallbackResponse,
  ReplayCallbackResponse,
  RotateCallbackSecretResponse,
  TestCallbackResponse,
} from '@maildoot/proto/maildoot/messaging/v1/callback';
import type { Issue } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import type { EventJson } from '@maildoot/webhooks/event-json';
import { isEventPattern, testEventType } from '@maildoot/webhooks/event-types';
import { newSecret } from '@maildoot/webhooks/signature';
import type pg from 'pg';
import { errors } from '../errors.ts';
import { positionAt } from '../feed.ts';
import { insertDue } from '../store/callback-work.ts';
import {
  changeCallback,
  countCallbacks,
  countReplays,
  deleteCallback,
  disableCallback,
  enableCallback,
  findCallback,
  insertCallback,
  insertReplay,
  mostCallbacks,
  mostReplays,
  rotateSecret,
  type StoredCallback,
  settledPlace,
} from '../store/callbacks.ts';
import { everythingPlaced, noMessage } from '../store/feed.ts';
import { checkUrl, type Outside } from './endpoint.ts';
import { once, type Repeatable } from './once.ts';
import { sealedSecretOf } from './secret.ts';

/** How long the secret before the last rotation signs along. */
const rotationMs = 24 * 3_600_000;
const placedWithinMs = 3_000;
const mostPatterns = 50;
const longestDescription = 500;

export interface ManageParts extends Outside {
  database: Database;
  sealer: Sealer;
  clock: Clock;
}

export interface EnableParts extends ManageParts {
  /** The serial up to which everything that was told has its place in the feed. */
  feedBound(): bigint;
}

export interface Caller {
  tenantId: string;
  repeatable: Repeatable | undefined;
}

export function noSuchCallback() {
  return errors.NOT_FOUND({ message: 'There is no such callback.' });
}

export function viewCallback(callback: StoredCallback, now: Date): Callback {
  const later = (at: Date | null) => (at !== null && at > now ? at : undefined);
  return {
    id: uuidToId('cbk', callback.id),
    url: callback.url,
    events: callback.events,
    description: callback.description,
    enabled: callback.enabled,
    createdAt: callback.createdAt,
    updatedAt: callback.updatedAt,
    disabledReason: callback.disabledReason,
    disabledAt: callback.disabledAt ?? undefined,
    failingSince: callback.failingSince ?? undefined,
    pausedUntil: later(callback.pausedUntil),
    previousSecretUntil: later(callback.previousUntil),
  };
}

export interface Wanted {
  url?: string | undefined;
  events?: readonly string[] | undefined;
  description?: string | undefined;
}

/** What can be kept, or everything that is wrong. @throws VALIDATION_ERROR */
async function checked(parts: ManageParts, wanted: Wanted): Promise<Wanted> {
  const issues: Issue[] = [];
  const issue = (path: string, code: string, message: string) => issues.push({ path, code, message, line: undefined, column: undefined });
  let { url } = wanted;
  if (url !== undefined) {
    const found = await checkUrl(url, parts);
    if ('issue' in found) issues.push(found.issue);
    else url = found.url;
  }
  const { events, description } = wanted;
  if (events !== undefined && events.length > mostPatterns)
    issue('events', 'too_many', `At most ${mostPatterns}; a prefix chooses many: message.*`);
  for (const [index, pattern] of (events ?? []).entries())
    if (!isEventPattern(pattern))
      issue(`events[${index}]`, 'unknown_event', 'There is no such event. Write a name, a prefix such as message.*, or *.');
  if (description !== undefined && ([...description].length > longestDescription || /\0/.test(description)))
    issue('description', 'too_long', `At most ${longestDescription} characters.`);
  if (issues.length > 0) throw errors.VALIDATION_ERROR({ message: 'The callback can’t be like this; the issues say why.', issues });
  return { url, events: events && normalised(events), description };
}

function normalised(events: readonly string[]): string[] {
  return events.includes('*') ? [] : [...new Set(events)];
}

export async function createCallback(parts: ManageParts, caller: Caller, wanted: Required<Wanted>): Promise<CreateCallbackResponse> {
  const { tenantId } = caller;
  return await once(
    parts,
    { ...caller, operation: 'create_callback', codec: CreateCallbackResponse },
    () => checked(parts, wanted),
    async (client, { url = '', events = [], description = '' }, now) => {
      // Its lock comes before the count: of those who make one at the same time, each counts what the others have made.
      const position = await settledPlace(client);
      if ((await countCallbacks(client, tenantId)) >= mostCallbacks)
        throw errors.CONFLICT({ message: `There are ${mostCallbacks} callbacks already. Delete one first.` });
      const id = newUuid();
      const secret = newSecret();
      const sealedSecret = parts.sealer.seal(secret, sealedSecretOf(id));
      const kept = await insertCallback(client, { id, tenantId, url, events, description, createdAt: now, sealedSecret, position });
      return { callback: viewCallback(kept, now), secret, replayed: false };
    },
  );
}

export async function updateCallback(
  parts: EnableParts,
  tenantId: string,
  id: string,
  wanted: Wanted & { enabled?: boolean | undefined },
): Promise<Callback> {
  // Whose it is comes first: nobody learns by his issues what another tenant has.
  if ((await findCallback(parts.database.pool, tenantId, id)) === undefined) throw noSuchCallback();
  const change = await checked(parts, wanted);
  if (wanted.enabled === true) await beforeEnabling(parts);
  const now = parts.clock.now();
  return await parts.database.transaction(async (client) => {
    let callback = await lockOwn(client, tenantId, id);
    callback = await changeCallback(client, id, change, now);
    if (wanted.enabled === true && !callback.enabled) callback = await enableCallback(client, id, await settledPlace(client), now);
    if (wanted.enabled === false)
      callback = (await disableCallback(client, id, CallbackDisabledReason.CALLBACK_DISABLED_REASON_OWNER, now)) ?? callback;
    return viewCallback(callback, now);
  });
}

// It goes on behind what happened while it was disabled, also where that has no place in the feed yet.
async function beforeEnabling({ database, feedBound }: EnableParts): Promise<void> {
  if (!(await everythingPlaced(database.pool, feedBound, placedWithinMs)))
    throw errors.UNAVAILABLE({ message: 'Events can’t be put in order at the moment. Try again shortly.', retryAfterMs: placedWithinMs });
}

export async function removeCallback({ database }: ManageParts, tenantId: string, id: string): Promise<void> {
  if (!(await database.transaction((client) => deleteCallback(client, tenantId, id)))) throw noSuchCallback();
}

export async function rotateCallbackSecret(parts: ManageParts, caller: Caller, id: string): Promise<RotateCallbackSecretResponse> {
  return await once(
    parts,
    { ...caller, operation: `rotate_callback_secret:${id}`, codec: RotateCallbackSecretResponse },
    () => mustExist(parts, caller, id),
    async (client, _, now) => {
      await lockOwn(client, caller.tenantId, id);
      const secret = newSecret();
      const sealed = parts.sealer.seal(secret, sealedSecretOf(id));
      const kept = await rotateSecret(client, id, sealed, new Date(now.getTime() + rotationMs), now);
      return { callback: viewCallback(kept, now), secret, replayed: false };
    },
  );
}

export async function testCallback(parts: ManageParts, caller: Caller, id: string): Promise<TestCallbackResponse> {
  return await once(
    parts,
    { ...caller, operation: `test_callback:${id}`, codec: TestCallbackResponse },
    () => mustExist(parts, caller, id),
    async (client, _, now) => {
      const { lane } = await lockOwn(client, caller.tenantId, id);
      const eventId = newUuid();
      const body = JSON.stringify(testEvent(uuidToId('evt', eventId), uuidToId('cbk', id), now));
      const due = { eventId, aboutId: eventId, recipientNumber: noMessage, type: testEventType, body: Buffer.from(body), test: true };
      await insertDue(client, lane, [due], now, false);
      return { eventId: uuidToId('evt', eventId), body, replayed: false, createdAt: now };
    },
  );
}

// Like an event of the feed, in which it is not: it has no place there.
function testEvent(id: string, callbackId: string, now: Date): EventJson {
  const at = now.toISOString();
  const data = { callback_id: callbackId, message: 'This is a test. Nothing happened.' };
  return { id, object: 'event', seq: 0, type: testEventType, created_at: at, timestamp: at, data };
}

export interface WantedReplay {
  since: Date | undefined;
  until: Date | undefined;
  onlyFailed: boolean;
}

/** Enables the callback where it is disabled. What lies behind its position comes anyway: a replay goes up to there. */
export async function replayCallback(
  parts: EnableParts,
  caller: Caller,
  id: string,
  wanted: WantedReplay,
): Promise<ReplayCallbackResponse> {
  const { tenantId } = caller;
  return await once(
    parts,
    { ...caller, operation: `replay_callback:${id}`, codec: ReplayCallbackResponse },
    async () => {
      const { enabled } = await mustExist(parts, caller, id);
      const stretch = checkedStretch(wanted, parts.clock.now());
      if (!enabled) await beforeEnabling(parts);
      return stretch;
    },
    async (client, { since, until }, now) => {
      let callback = await lockOwn(client, tenantId, id);
      if ((await countReplays(client, id)) >= mostReplays)
        throw errors.CONFLICT({ message: `${mostReplays} replays of this callback are under way. Ask again when one is through.` });
      if (!callback.enabled) callback = await enableCallback(client, id, await settledPlace(client), now);
      const replayId = newUuid();
      const last = wanted.until === undefined ? callback.position : positionAt(until) - 1n;
      const behind = last < callback.position ? last : callback.position;
      const replay = {
        id: replayId,
        callbackId: id,
        tenantId,
        position: positionAt(since) - 1n,
        until: behind,
        onlyFailed: wanted.onlyFailed,
      };
      if (replay.position < replay.until) await insertReplay(client, replay);
      return {
        id: uuidToId('cbr', replayId),
        callback: viewCallback(callback, now),
        createdAt: now,
        since,
        until,
        onlyFailed: wanted.onlyFailed,
        replayed: false,
      };
    },
  );
}

function checkedStretch({ since, until }: WantedReplay, now: Date): { since: Date; until: Date } {
  const issue = (path: string, code: string, message: string) =>
    errors.VALIDATION_ERROR({ message, issues: [{ path, code, message, line: undefined, column: undefined }] });
  if (since === undefined) throw issue('since', 'required', 'Say from when on events are to be sent again.');
  if (since > now) throw issue('since', 'not_in_past', 'Give an instant that is over.');
  if (until !== undefined && until <= since) throw issue('until', 'not_after_since', 'until comes after since.');
  // Places in the feed begin with 1970.
  return { since: notBefore1970(since), until: notBefore1970(until ?? now) };
}

function notBefore1970(time: Date): Date {
  return new Date(Math.max(1, time.getTime()));
}

async function mustExist({ database }: ManageParts, { tenantId }: Caller, id: string): Promise<StoredCallback> {
  const callback = await findCallback(database.pool, tenantId, id);
  if (callback === undefined) throw noSuchCallback();
  return callback;
}

async function lockOwn(client: pg.PoolClient, tenantId: string, id: string): Promise<StoredCallback> {
  const callback = await findCallback(client, tenantId, id, true);
  if (callback === undefined) throw noSuchCallback();
  return callback;
}
