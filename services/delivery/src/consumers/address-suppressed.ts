// Topic messaging.address-suppressed.v1: mail that was accepted before, and waits or is tried again, must not go out. The claim that takes it
// finds the address here; nothing is searched for in the queue.
import type { Database } from '@maildoot/db/database';
import type { EventRecord } from '@maildoot/events/log';
import type { AddressSuppressedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { idToUuid } from '@maildoot/runtime/ids';
import { rememberSuppressed } from '../store/suppressed.ts';
import { UnreadableEvent } from './message-accepted.ts';

export function handleAddressSuppressed({ database }: { database: Database }) {
  return async (records: readonly EventRecord<AddressSuppressedEvent>[]): Promise<void> => {
    await rememberSuppressed(
      database,
      records.map(({ event }) => {
        const tenantId = idToUuid('ten', event.tenantId);
        if (tenantId === undefined) throw new UnreadableEvent('tenant_id has an unknown form');
        return { tenantId, address: event.address };
      }),
    );
  };
}
