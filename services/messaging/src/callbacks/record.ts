// What came of attempts, in one transaction for all that ended meanwhile:
//   1. how their callbacks stand: failing, paused       3. the attempts, for their owners to read
//   2. those that are gone are disabled                 4. the due rows: over, or due again
import type { Database } from '@maildoot/db/database';
import { CallbackDisabledReason, CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { insertAttempts, type Standing, settleDue, writeStandings } from '../store/callback-work.ts';
import type { Judged } from './attempt.ts';
import { disable } from './disable.ts';

/** Answers how many callbacks were disabled. */
export async function record(database: Database, workerId: string, ended: readonly Judged[], now: Date): Promise<number> {
  return await database.transaction(async (client) => {
    await writeStandings(client, standingsOf(ended));
    let disabled = 0;
    const gone = new Map(ended.filter((one) => one.gone).map(({ attempt }) => [attempt.callbackId, attempt.tenantId]));
    for (const [id, tenantId] of [...gone].sort())
      if (await disable(client, { id, tenantId }, CallbackDisabledReason.CALLBACK_DISABLED_REASON_GONE, now)) disabled++;
    await insertAttempts(
      client,
      ended.map((one) => one.attempt),
    );
    await settleDue(client, workerId, ended);
    return disabled;
  });
}

/** Try-outs say nothing about a callback. */
function standingsOf(ended: readonly Judged[]): Standing[] {
  const standings = new Map<string, Standing>();
  for (const { attempt, pauseUntil, test } of ended) {
    if (test) continue;
    const { callbackId, outcome, at } = attempt;
    const standing = standings.get(callbackId) ?? { callbackId, succeeded: false, failedAt: null, pauseUntil: null };
    if (outcome === CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED) standing.succeeded = true;
    else standing.failedAt = standing.failedAt === null || at < standing.failedAt ? at : standing.failedAt;
    if (pauseUntil !== null && (standing.pauseUntil === null || pauseUntil > standing.pauseUntil)) standing.pauseUntil = pauseUntil;
    standings.set(callbackId, standing);
  }
  return [...standings.values()];
}
