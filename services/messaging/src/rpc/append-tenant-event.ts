// AppendTenantEvent: an event about no message, for the tenant's feed and callbacks.
import type { Database } from '@maildoot/db/database';
import type { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { appendTenantEvents, tenantEventTypes } from '../tenant-event.ts';
import { tenantOf, unary } from './door.ts';

const mostBytes = 16 * 1024;

export function appendTenantEvent({ database, wakeFeed }: { database: Database; wakeFeed(): void }) {
  return unary<typeof TenantEventServiceService.appendTenantEvent>(['domain-provisioning'], async (request, call) => {
    const tenantId = tenantOf(call);
    const id = idToUuid('evt', request.id);
    const { type, at } = request;
    if (id === undefined || at === undefined) throw errors.VALIDATION_ERROR({ message: 'An event has an id and a time.' });
    if (!tenantEventTypes.includes(type)) throw errors.VALIDATION_ERROR({ message: `There is no event ${type} that is about no message.` });
    const data = dataOf(request.dataJson);
    const fresh = await database.transaction((client) => appendTenantEvents(client, [{ id, tenantId, type, at, data }]));
    if (fresh.size > 0) wakeFeed();
    return { appended: fresh.size > 0 };
  });
}

function dataOf(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length > mostBytes) throw errors.VALIDATION_ERROR({ message: 'What an event says has at most 16 KB.' });
  let data: unknown;
  try {
    data = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw errors.VALIDATION_ERROR({ message: 'What an event says is JSON.', cause: error });
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw errors.VALIDATION_ERROR({ message: 'What an event says is a JSON object.' });
  return data as Record<string, unknown>;
}
