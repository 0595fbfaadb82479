// AddSuppressions: addresses that the tenant does not want to write to, one or a whole list. What is there already stays as it is.
import type { Database } from '@maildoot/db/database';
import { claim, type IdempotencyRequest, store } from '@maildoot/db/idempotency';
import { normaliseEmail } from '@maildoot/mail/address';
import {
  type AddSuppressionsRequest,
  AddSuppressionsResponse,
  SuppressionReason,
  type SuppressionServiceService,
} from '@maildoot/proto/maildoot/messaging/v1/suppression';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { Clock } from '@maildoot/runtime/clock';
import type pg from 'pg';
import { inProgress, isBadKey, maxKeyChars, mismatch } from '../accept-keys.ts';
import { errors } from '../errors.ts';
import { insertSuppressions, readSuppressions } from '../store/suppression.ts';
import { defaultStream, streamName } from '../suppression.ts';
import { tenantOf, unary } from './door.ts';
import { viewSuppression } from './suppression-view.ts';

const maxAtOnce = 10_000;

export function addSuppressions({ database, clock }: { database: Database; clock: Clock }) {
  return unary<typeof SuppressionServiceService.addSuppressions>(['gateway'], async (request, call) => {
    const tenantId = tenantOf(call);
    const entries = entriesOf(request);
    return await database.transaction(async (client) => {
      const key = keyOf(request, tenantId);
      const now = clock.now();
      const [claimed] = key === undefined ? [] : await claim(client, [key], now);
      if (claimed?.outcome === 'replay') return { ...AddSuppressionsResponse.decode(claimed.response), replayed: true };
      if (claimed?.outcome === 'mismatch') throw mismatch();
      if (claimed?.outcome === 'in_progress') throw inProgress();
      const response = await add(client, tenantId, entries);
      if (key !== undefined) await store(client, [{ ...key, response: AddSuppressionsResponse.encode(response).finish() }], now);
      return response;
    });
  });
}

type Entry = { email: string; stream: string; reason: number };

async function add(client: pg.ClientBase, tenantId: string, entries: readonly Entry[]): Promise<AddSuppressionsResponse> {
  const added = await insertSuppressions(
    client,
    entries.map((entry) => ({ ...entry, tenantId, messageId: null })),
  );
  const rows = await readSuppressions(client, tenantId, entries);
  return { suppressions: rows.flatMap((row) => (row === undefined ? [] : [viewSuppression(row)])), added: added.size, replayed: false };
}

function entriesOf({ suppressions, idempotencyKey }: AddSuppressionsRequest): Entry[] {
  const issues: Issue[] = [];
  if (suppressions.length === 0) issues.push({ path: 'suppressions', code: 'required', message: 'Give at least one address.' });
  if (suppressions.length > maxAtOnce)
    issues.push({ path: 'suppressions', code: 'too_many', message: `At most ${maxAtOnce} addresses can be added at once.` });
  if (isBadKey(idempotencyKey))
    issues.push({ path: '', code: 'invalid_idempotency_key', message: `An idempotency key has at most ${maxKeyChars} characters.` });
  const entries = suppressions.slice(0, maxAtOnce).flatMap(({ email, stream, reason }, index): Entry[] => {
    const normal = normaliseEmail(email);
    const name = stream || defaultStream;
    if (normal === undefined)
      issues.push({
        path: `suppressions[${index}].email`,
        code: 'invalid_email',
        message: 'This must be an address like name@example.com.',
      });
    if (!streamName.test(name))
      issues.push({ path: `suppressions[${index}].stream`, code: 'invalid_stream', message: 'A stream is a lower-case word.' });
    return normal === undefined ? [] : [{ email: normal, stream: name, reason: reason || SuppressionReason.SUPPRESSION_REASON_MANUAL }];
  });
  if (issues.length > 0) throw errors.VALIDATION_ERROR({ message: 'The request is not valid; see the issues.', issues });
  return entries;
}

function keyOf(
  { idempotencyKey: key, requestSha256: requestHash }: AddSuppressionsRequest,
  tenantId: string,
): IdempotencyRequest | undefined {
  return key === '' ? undefined : { tenantId, operation: 'suppressions', key, requestHash };
}
