// EngagementService: RecordEngagement, GetUnsubscription, Unsubscribe. No tenant calls here but a recipient, whose token the gateway has
// checked; the message says whose it is.
import type { Database } from '@maildoot/db/database';
import { GroupCommit } from '@maildoot/db/group-commit';
import { EngagementKind, type EngagementServiceService } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import type { Clock } from '@maildoot/runtime/clock';
import { type Engaged, recordEngagements, senderDomain } from '../engagement.ts';
import { noSuchMessage } from '../errors.ts';
import { readUnsubscription } from '../store/engagement.ts';
import { findHits } from '../store/suppression.ts';
import { foldedAddress } from '../suppression.ts';
import type { Telemetry } from '../telemetry.ts';
import { messageUuid, unary } from './door.ts';

// Pictures come in floods when a newsletter lands: a few transactions a second take them all.
const paceMs = 200;
const maxItems = 500;
// In memory, of a few hundred bytes each; beyond that they are lost, and counted as such.
const maxWaiting = 20_000;

export interface EngagementParts {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  wakeFeed(): void;
}

/** Dispose of it to write what has been taken. */
export function createEngagementDoor({ database, clock, telemetry, wakeFeed }: EngagementParts) {
  const group = new GroupCommit<Engaged, void>({
    maxItems,
    maxBytes: maxItems,
    concurrency: 1,
    paceMs,
    sizeOf: () => 1,
    async commit(items) {
      await database.transaction((client) => recordEngagements(client, items));
      wakeFeed();
      return items.map(() => undefined);
    },
  });
  let waiting = 0;

  return {
    implementations: {
      recordEngagement: unary<typeof EngagementServiceService.recordEngagement>(['gateway'], async (request) => {
        const kind = request.kind === EngagementKind.ENGAGEMENT_KIND_CLICKED ? request.kind : EngagementKind.ENGAGEMENT_KIND_OPENED;
        const { recipientNumber, url, userAgent, prefetch } = request;
        if (waiting >= maxWaiting) {
          telemetry.engagementLost(1);
          return {};
        }
        waiting++;
        group
          .submit({ messageId: messageUuid(request.messageId), recipientNumber, kind, url, userAgent, prefetch, at: clock.now() })
          .catch((error: unknown) => {
            telemetry.engagementLost(1);
            telemetry.jobFailed('engagement', error);
          })
          .finally(() => waiting--);
        return {};
      }),
      getUnsubscription: unary<typeof EngagementServiceService.getUnsubscription>(['gateway'], async ({ messageId, recipientNumber }) => {
        const found = await readUnsubscription(database.pool, messageUuid(messageId), recipientNumber);
        if (found === undefined) throw noSuchMessage();
        const { email, stream } = found;
        const [hit] = await findHits(database.pool, found.tenantId, [{ address: foldedAddress(email), stream }]);
        return { email, stream, senderDomain: senderDomain(found.fromEmail), unsubscribed: hit !== undefined };
      }),
      unsubscribe: unary<typeof EngagementServiceService.unsubscribe>(['gateway'], async ({ messageId, recipientNumber, userAgent }) => {
        const uuid = messageUuid(messageId);
        const found = await readUnsubscription(database.pool, uuid, recipientNumber);
        if (found === undefined) throw noSuchMessage();
        const kind = EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED;
        const engaged = { messageId: uuid, recipientNumber, kind, url: '', userAgent, prefetch: false, at: clock.now() };
        // Not by the group: who is told that it is done must be able to rely on it.
        await database.transaction((client) => recordEngagements(client, [engaged]));
        wakeFeed();
        return { email: found.email, stream: found.stream, senderDomain: senderDomain(found.fromEmail) };
      }),
    },
    [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
  };
}
