// Tells messaging what happened to domains, so that it stands in the tenant's feed and goes to its callbacks. What is not taken stays and is
// told again; its id makes the second time none.

import type { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import type { RpcClient } from '@maildoot/rpc/client';
import { RpcError } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import { type Repeating, repeat } from '@maildoot/runtime/repeat';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 15_000;
const together = 50;
/** Longer than telling all of them takes when each meets its deadline but the first. */
const leaseMs = 60_000;

export interface Teller {
  store: Store;
  messaging: Pick<RpcClient<typeof TenantEventServiceService>, 'appendTenantEvent'>;
  clock: Clock;
  logger: Logger;
}

export function startTellingEvents({ store, messaging, clock, logger }: Teller): Repeating {
  return repeat({
    everyMs,
    clock,
    async run(stopping) {
      for (;;) {
        const events = stopping.aborted ? [] : await store.leaseEvents(together, leaseMs);
        // One after the other: a tenant reads them in the order in which they happened.
        for (const [index, { id, tenantId, type, at, data }] of events.entries()) {
          try {
            await messaging.appendTenantEvent(
              { id: uuidToId('evt', id), type, at, dataJson: Buffer.from(JSON.stringify(data)) },
              { tenantId: uuidToId('ten', tenantId) },
            );
          } catch (error) {
            if (!(error instanceof RpcError && error.status === 'INVALID_ARGUMENT')) {
              telemetry.eventRefused(logger, uuidToId('evt', id), error);
              // Those behind it would meet the same: messaging is away.
              return store.releaseEvents(events.slice(index).map((event) => event.id));
            }
            // It would be refused for ever, and stand in the others' way.
            telemetry.eventDropped(logger, uuidToId('evt', id), error);
            await store.eventTold(id);
            continue;
          }
          await store.eventTold(id);
          telemetry.eventTold(logger, type);
        }
        if (events.length < together) return;
      }
    },
    onFailure: (error) => telemetry.eventsNotTold(logger, error),
  });
}
