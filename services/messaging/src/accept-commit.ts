// Step 5 of accepting: messages, recipients, content, idempotency record and outbox row in a transaction that concurrent requests share,
// and what is answered when its end was not seen, or when the messages were there before.

import { databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import type { Database } from '@maildoot/db/database';
import { CommitOutcomeUnknown, isUniqueViolation, sqlState, sqlStates } from '@maildoot/db/errors';
import { GroupCommit } from '@maildoot/db/group-commit';
import { type IdempotencyClaim, lockOf } from '@maildoot/db/idempotency';
import {
  type AcceptMessagesRequest,
  AcceptMessagesResponse,
  AcceptResult,
  RecipientStatus,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { RpcError } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import type { AcceptCaller } from './accept.ts';
import { inProgress, itemKey, mismatch, requestKeys, settledBy } from './accept-keys.ts';
import { Bulk } from './bulk.ts';
import { acceptedResult, allFailed, type Draft, failed, hasFailed, isScheduled, openOnes } from './draft.ts';
import { errors } from './errors.ts';
import { personalOf } from './personal.ts';
import { countsOf, messageStatus } from './status.ts';
import {
  type Acceptance,
  commitAtOnce,
  commitWithClaims,
  type Decision,
  findAccepted,
  keyTaken,
  type NewMessage,
  onTheList,
} from './store/acceptance.ts';
import { findHits } from './store/suppression.ts';
import { defaultStream, foldedAddress, type SuppressionHit, streamsOf } from './suppression.ts';
import type { Telemetry } from './telemetry.ts';

const groupMessages = 200;
const groupBytes = 1 << 20;
// A commit takes one or two milliseconds; one that takes longer (a slow disk, a message of many megabytes) is not waited for.
const patienceMs = 4;
// After a lost connection: when to look again for what was not found, or could not be looked for. All within the second that a caller waits.
const lookAfterMs = [0, 150, 400];
// A key that another request holds: mostly it is the same one, asked again when its first answer got lost, and ends within a moment.
const heldAfterMs = [50, 100, 200, 400, 800];

/** What became of a request: results that are durable, or the stored answer of an earlier one. */
export type Committed = { replay: AcceptMessagesResponse } | { results: AcceptResult[] };

export interface CommitParts {
  database: Database;
  /** Everything goes to the built-in inbox and nowhere else. */
  capture: boolean;
  clock: Clock;
  telemetry: Telemetry;
  /** How many transactions may run at a time. */
  commitConcurrency: number;
}

export interface Committer extends AsyncDisposable {
  /** @throws RpcError; whatever else it throws came from the database, and nothing was kept */
  commit(drafts: readonly Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<Committed>;
}

type Submitted = Acceptance<Committed> & { sizeBytes: number };
type SubmittedAtOnce = Submitted & { lock: bigint | undefined };

export function createCommitter(parts: CommitParts): Committer {
  const { database, capture, clock, telemetry } = parts;
  const bulk = new Bulk();
  const limits = { maxItems: groupMessages, maxBytes: groupBytes, patienceMs, sizeOf: (acceptance: Submitted) => acceptance.sizeBytes };
  const atOnce = new GroupCommit<SubmittedAtOnce, Committed | typeof keyTaken | typeof onTheList>({
    ...limits,
    concurrency: parts.commitConcurrency,
    commit: (acceptances) => commitAtOnce(database, acceptances, clock.now()),
  });
  const withClaims = new GroupCommit<Submitted, Committed>({
    ...limits,
    concurrency: 1,
    commit: (acceptances) => commitWithClaims(database, acceptances, clock.now()),
  });
  // Of the requests in `atOnce`: two of one key can't be told apart by the statement.
  const keysUnderWay = new Set<bigint>();

  async function submit(drafts: readonly Draft[], acceptance: Submitted, tenantId: string): Promise<Committed> {
    const [key, ...more] = acceptance.keys;
    const lock = key === undefined ? undefined : lockOf(key);
    if (more.length === 0 && (lock === undefined || !keysUnderWay.has(lock))) {
      if (lock !== undefined) keysUnderWay.add(lock);
      try {
        const answer = await atOnce.submit({ ...acceptance, lock });
        if (answer !== keyTaken && answer !== onTheList) return answer;
      } finally {
        if (lock !== undefined) keysUnderWay.delete(lock);
      }
    }
    await lookUpSuppressed(drafts, tenantId);
    return await withClaims.submit(acceptance);
  }

  async function lookUpSuppressed(drafts: readonly Draft[], tenantId: string): Promise<void> {
    const asked = openOnes(drafts).flatMap((draft) =>
      draft.recipients.flatMap(({ number, email }) =>
        streamsOf(draft.outgoing).map((stream) => ({ draft, number, address: foldedAddress(email), stream })),
      ),
    );
    const hits = await findHits(database.pool, tenantId, asked);
    const found = new Map<Draft, Map<number, SuppressionHit>>(openOnes(drafts).map((draft) => [draft, new Map()]));
    for (const [index, { draft, number }] of asked.entries()) {
      const hit = hits[index];
      if (hit !== undefined) found.get(draft)?.set(number, hit);
    }
    for (const [draft, suppressed] of found) draft.suppressed = suppressed;
  }

  async function commit(drafts: readonly Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<Committed> {
    // What one try made durable is answered, whatever becomes of the items that wait.
    let kept: Committed | undefined;
    for (let tries = 0; ; tries++) {
      const waitMs = heldAfterMs[tries];
      try {
        const committed = await commitOnce(drafts, request, caller);
        // With a key of the request as a whole, this is its stored answer.
        if (waitMs === undefined || 'replay' in committed || request.idempotencyKey !== '' || !committed.results.some(isHeld))
          return committed;
        for (const [index, result] of committed.results.entries()) if (!isHeld(result)) drafts[index]!.result = result;
        kept = committed;
      } catch (error) {
        if (kept !== undefined) return kept;
        if (waitMs === undefined || !(error instanceof RpcError && error.code === 'IDEMPOTENCY_IN_PROGRESS')) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async function commitOnce(drafts: readonly Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<Committed> {
    if (drafts.every((draft) => draft.result !== undefined)) return { results: drafts.map((draft) => draft.result!) };
    try {
      return await submit(drafts, acceptanceOf(drafts, request, caller), caller.tenantUuid);
    } catch (error) {
      if (error instanceof CommitOutcomeUnknown) return await answerAfterLostCommit(drafts, caller, error);
      if (isUniqueViolation(error)) return await answerKnownIds(drafts, request, caller, error);
      // What the rules let through and a text column does not take: this request's own fault.
      if (sqlState(error) === sqlStates.invalidText)
        throw errors.VALIDATION_ERROR({ message: 'The message has text that can’t be stored.', cause: error });
      throw error;
    }
  }

  function acceptanceOf(drafts: readonly Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Submitted {
    const open = openOnes(drafts);
    const whole = requestKeys(request, caller.tenantUuid);
    const items = open.flatMap((draft) => itemKey(draft.outgoing, caller.tenantUuid) ?? []);
    const bytes = open.reduce((sum, draft) => sum + draft.chunks.reduce((all, chunk) => all + chunk.length, 0), 0);
    return {
      keys: [...whole, ...items],
      // A group has at most 200 messages and 1 MB, so many messages weigh like bytes.
      sizeBytes: Math.max(bytes, (open.length * groupBytes) / groupMessages),
      suppressible: open
        .filter((draft) => draft.suppressed === undefined)
        .flatMap(({ outgoing, recipients }) =>
          recipients.flatMap(({ email }) =>
            streamsOf(outgoing).map((stream) => ({ tenantId: caller.tenantUuid, address: foldedAddress(email), stream })),
          ),
        ),
      decide: (claims) => decide(drafts, request, caller, claims),
    };
  }

  /** What is written and answered, now that it is known which keys this request holds. */
  function decide(
    drafts: readonly Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
    claims: readonly IdempotencyClaim[],
  ): Decision<Committed> | Error {
    const whole = requestKeys(request, caller.tenantUuid);
    const [wholeClaim] = claims.slice(0, whole.length);
    if (wholeClaim?.outcome === 'mismatch') return mismatch();
    if (wholeClaim?.outcome === 'in_progress') return inProgress();
    if (wholeClaim?.outcome === 'replay')
      return { messages: [], answers: [], answer: { replay: AcceptMessagesResponse.decode(wholeClaim.response) } };

    const itemClaims = claims.slice(whole.length).values();
    const messages: NewMessage[] = [];
    const answers: Decision<Committed>['answers'][number][] = [];
    const results: AcceptResult[] = [];
    for (const draft of drafts) {
      const key = draft.result === undefined ? itemKey(draft.outgoing, caller.tenantUuid) : undefined;
      const result = draft.result ?? (key === undefined ? undefined : settledBy(itemClaims.next().value!, draft.outgoing.id));
      if (result !== undefined) {
        results.push(result);
        continue;
      }
      const accepted = acceptedResult(draft, capture);
      messages.push(newMessage(draft, request, caller));
      if (key !== undefined) answers.push({ ...key, response: AcceptResult.encode(accepted).finish() });
      results.push(accepted);
    }
    if (request.atomic && results.some(hasFailed)) return allFailed(results);
    if (whole[0] !== undefined) {
      const response = AcceptMessagesResponse.encode({ results, replayed: false, batchId: request.batchId }).finish();
      answers.push({ ...whole[0], response });
    }
    return { messages, answers, answer: { results } };
  }

  /** The transaction may have happened: what is there now decides. */
  async function answerAfterLostCommit(drafts: readonly Draft[], caller: AcceptCaller, cause: CommitOutcomeUnknown): Promise<Committed> {
    const ids = openOnes(drafts).map((draft) => draft.uuid);
    let looked = false;
    for (const delayMs of lookAfterMs) {
      // Real time, not the clock's: a connection is waited for, nothing is due.
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const found = await findAccepted(database.pool, caller.tenantUuid, ids).catch(() => undefined);
      looked ||= found !== undefined;
      if (found === undefined || found.size === 0) continue;
      telemetry.commitUnknown('kept', found.size);
      await lookUpSuppressed(drafts, caller.tenantUuid);
      // All messages of a request are written or none, but for those whose own key another request held.
      const resultOf = (draft: Draft) => (found.has(draft.uuid) ? acceptedResult(draft, capture) : failed(inProgress()));
      return { results: drafts.map((draft) => draft.result ?? resultOf(draft)) };
    }
    telemetry.commitUnknown(looked ? 'not_kept' : 'not_known', ids.length);
    throw unavailable(cause);
  }

  /** Some of the ids are there already: the gateway asks again. Those are accepted, the others are still to be written. */
  async function answerKnownIds(
    drafts: readonly Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
    cause: unknown,
  ): Promise<Committed> {
    const open = openOnes(drafts);
    const ids = open.map((draft) => draft.uuid);
    const found = await findAccepted(database.pool, caller.tenantUuid, ids);
    if (found.size === 0) throw errors.CONFLICT({ message: 'A message of this id exists already.', cause });
    await lookUpSuppressed(open, caller.tenantUuid);
    for (const draft of open) if (found.has(draft.uuid)) draft.result = acceptedResult(draft, capture);
    return await commitOnce(drafts, request, caller);
  }

  function newMessage(draft: Draft, request: AcceptMessagesRequest, caller: AcceptCaller): NewMessage {
    const { outgoing, recipients } = draft;
    const from = outgoing.from!;
    const open = isScheduled(draft) ? RecipientStatus.RECIPIENT_STATUS_SCHEDULED : RecipientStatus.RECIPIENT_STATUS_QUEUED;
    const written = recipients.map((recipient) => ({
      ...recipient,
      status: draft.suppressed?.has(recipient.number) ? RecipientStatus.RECIPIENT_STATUS_SUPPRESSED : open,
    }));
    const statusCounts = countsOf(written.map(({ status }) => status));
    const isOpen = ({ status }: { status: RecipientStatus }) => status === open;
    const addressed = ({ number, email }: { number: number; email: string }) => ({ number, address: email });
    const captured = capture || outgoing.test;
    const stream = outgoing.stream || defaultStream;
    const personal = draft.frozen?.personal ?? personalOf(outgoing);
    return {
      id: draft.uuid,
      tenantId: caller.tenantUuid,
      batchId: request.batchId === '' ? null : (idToUuid('bat', request.batchId) ?? null),
      status: messageStatus(statusCounts),
      statusCounts,
      fromEmail: from.email,
      fromName: from.name,
      replyTo: outgoing.replyTo,
      subject: outgoing.subject,
      tags: outgoing.tags,
      metadata: outgoing.metadata,
      sendAt: outgoing.sendAt ?? null,
      sizeBytes: draft.sizeBytes,
      captured,
      stream,
      unsubscribeGroup: outgoing.unsubscribe?.group || null,
      templateId: draft.frozen?.templateId ?? idToUuid('tpl', outgoing.templateId) ?? null,
      pool: outgoing.pool,
      personal,
      recipients: written,
      chunks: draft.chunks,
      event: {
        messageId: outgoing.id,
        tenantId: caller.tenantId,
        mailFrom: from.email,
        signingDomain: draft.signingDomain,
        recipients: written.filter(isOpen).map(addressed),
        acceptedAt: draft.createdAt,
        sendAt: outgoing.sendAt ?? draft.pacedUntil,
        sizeBytes: BigInt(draft.sizeBytes),
        captured,
        stream,
        pool: outgoing.pool,
        suppressed: written.filter((one) => !isOpen(one)).map(addressed),
        personal: personal !== 0,
      },
      isBulk: bulk.count(caller.tenantUuid, written.length),
      traceparent: caller.traceparent,
    };
  }

  return {
    commit,
    async [Symbol.asyncDispose]() {
      await atOnce[Symbol.asyncDispose]();
      await withClaims[Symbol.asyncDispose]();
    },
  };
}

function isHeld({ result }: AcceptResult): boolean {
  return result?.$case === 'error' && result.value.code === 'IDEMPOTENCY_IN_PROGRESS';
}

function unavailable(cause: unknown): RpcError {
  return errors.UNAVAILABLE({
    message: 'Messages can’t be kept at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause,
  });
}
