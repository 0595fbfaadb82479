// Accepting messages. The steps, in this order:
//   1. replay     an idempotency key that was used before gets its stored answer, before any check
//   2. check      every message against the rules, and its sender
//   3. freeze     each message into its MIME, outside of any transaction
//   4. compress   the MIME into chunks
//   5. commit     message, recipients, content, idempotency record and outbox row, in a transaction that concurrent requests share
//   6. wake       the sequencer, which gives the outbox rows their positions
//   7. answer     nobody hears "accepted" before the commit
import type { Database } from '@maildoot/db/database';
import { CommitOutcomeUnknown, isUniqueViolation, sqlState, sqlStates } from '@maildoot/db/errors';
import { GroupCommit } from '@maildoot/db/group-commit';
import { findRecords, type IdempotencyClaim, type IdempotencyFinding, type IdempotencyRequest } from '@maildoot/db/idempotency';
import { domainOfAddress } from '@maildoot/mail/address';
import {
  type Accepted,
  type AcceptMessagesRequest,
  AcceptMessagesResponse,
  AcceptResult,
  MessageStatus,
  type OutgoingMessage,
  RecipientStatus,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { RpcError } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidTime } from '@maildoot/runtime/ids';
import { compressContent } from './content.ts';
import { errors } from './errors.ts';
import { messageIssues } from './message-rules.ts';
import { isSurelyTooLarge, type MimeFreezer, maxMimeBytes } from './mime.ts';
import { type EnvelopeRecipient, envelopeRecipients } from './recipients.ts';
import type { SenderDomains } from './sender-domains.ts';
import { initialCounts } from './status.ts';
import { type Acceptance, commitAcceptances, type Decision, findAccepted, type NewMessage } from './store/acceptance.ts';
import type { Telemetry } from './telemetry.ts';

export const maxMessagesPerRequest = 1000;
const maxKeyChars = 255;
const maxTurnMs = 4;
const groupMessages = 200;
const groupBytes = 1 << 20;
// After a lost COMMIT: when to look again for what was not found, or could not be looked for. All within the second that a caller waits.
const lookAfterMs = [0, 150, 400];

/** On whose behalf. `tenantUuid` is the database's form of `tenantId`. */
export interface AcceptCaller {
  tenantId: string;
  tenantUuid: string;
  requestId: string;
  traceparent: string | undefined;
}

export interface AcceptParts {
  database: Database;
  senderDomains: SenderDomains;
  mime: MimeFreezer;
  /** Everything goes to the built-in inbox, so any From will do. */
  capture: boolean;
  clock: Clock;
  telemetry: Telemetry;
  /** Called after a commit. */
  wakeSequencer(): void;
  /** How many transactions may run at a time. */
  commitConcurrency: number;
}

export interface Acceptor extends AsyncDisposable {
  accept(request: AcceptMessagesRequest, caller: AcceptCaller): Promise<AcceptMessagesResponse>;
}

/** One message on its way through the steps. */
interface Draft {
  outgoing: OutgoingMessage;
  uuid: string;
  createdAt: Date;
  /** Set = nothing more is done for it: an error, or the answer of an earlier request. */
  result: AcceptResult | undefined;
  recipients: EnvelopeRecipient[];
  /** Empty = not signed. */
  signingDomain: string;
  warnings: Issue[];
  mime: Buffer | undefined;
  sizeBytes: number;
  chunks: Buffer[];
}

type Committed = { replay: AcceptMessagesResponse } | { results: AcceptResult[] };

export function createAcceptor(parts: AcceptParts): Acceptor {
  const { database, senderDomains, mime, capture, clock, telemetry } = parts;

  const group = new GroupCommit<Acceptance<Committed> & { sizeBytes: number }, Committed>({
    maxItems: groupMessages,
    maxBytes: groupBytes,
    concurrency: parts.commitConcurrency,
    sizeOf: (acceptance) => acceptance.sizeBytes,
    commit: (acceptances) => commitAcceptances(database, acceptances, clock.now()),
  });

  async function accept(request: AcceptMessagesRequest, caller: AcceptCaller): Promise<AcceptMessagesResponse> {
    const startedAt = performance.now();
    refuseBadRequest(request);
    const drafts = request.messages.map(draftOf);

    const earlier = await replay(drafts, request, caller);
    if (earlier !== undefined) return earlier;
    await check(drafts, request, caller);
    if (request.atomic) refuseAllIfAnyFailed(drafts);
    await freeze(drafts);
    if (request.atomic) refuseAllIfAnyFailed(drafts);
    await compress(drafts);
    const committed = await commit(drafts, request, caller);
    parts.wakeSequencer();

    if ('replay' in committed) return replayOf(committed.replay, drafts);
    report(committed.results, performance.now() - startedAt);
    return { results: committed.results, replayed: false, batchId: request.batchId };
  }

  // ── 1. replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function replay(
    drafts: Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
  ): Promise<AcceptMessagesResponse | undefined> {
    const whole = requestKey(request, caller);
    const keyed = drafts.filter((draft) => draft.result === undefined && draft.outgoing.idempotencyKey !== '');
    const items = keyed.map((draft) => itemKey(draft, caller)!);
    if (whole.length + items.length === 0) return undefined;
    const findings = await findRecords(database.pool, [...whole, ...items], clock.now());
    if (whole.length === 1) {
      const finding = findings.shift()!;
      if (finding.outcome === 'replay') return replayOf(AcceptMessagesResponse.decode(finding.response), drafts);
      if (finding.outcome === 'mismatch') throw mismatch();
    }
    for (const [index, draft] of keyed.entries()) draft.result = settledBy(findings[index]!);
    return undefined;
  }

  function replayOf(stored: AcceptMessagesResponse, drafts: readonly Draft[]): AcceptMessagesResponse {
    // The same ids: the gateway asks again because it did not hear the answer, so its caller hears it for the first time.
    const sameRequest = stored.results.some(
      ({ result }, index) => result?.$case === 'accepted' && result.value.id === drafts[index]?.outgoing.id,
    );
    if (!sameRequest) telemetry.replayed();
    return { ...stored, replayed: !sameRequest };
  }

  // ── 2. check ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function check(drafts: Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<void> {
    const open = drafts.filter((draft) => draft.result === undefined);
    const now = clock.now();
    const duplicates = duplicateIssues(open);
    const issuesOf = new Map(open.map((draft) => [draft, [...messageIssues(draft.outgoing, now), ...(duplicates.get(draft) ?? [])]]));
    const fromDomain = (draft: Draft) => (draft.outgoing.from === undefined ? '' : domainOfAddress(draft.outgoing.from.email));
    const isAllowed = (domain: string) => request.allowedDomains.length === 0 || request.allowedDomains.includes(domain);
    const wanted = new Set(
      open
        .filter((draft) => !issuesOf.get(draft)!.some((issue) => issue.path === 'from'))
        .map(fromDomain)
        .filter(isAllowed),
    );
    const verified = await senderDomains.verified(caller.tenantId, [...wanted], caller.requestId);

    for (const draft of open) {
      const domain = fromDomain(draft);
      const issues = issuesOf.get(draft)!;
      const refusal = issues.some((issue) => issue.path === 'from')
        ? undefined
        : senderRefusal(domain, isAllowed(domain), verified.has(domain) || capture);
      if (issues.length > 0) {
        const message = 'The message is not valid; see the issues.';
        draft.result = failed(errors.VALIDATION_ERROR({ message, issues: [...issues, ...(refusal?.detail.issues ?? [])] }));
      } else if (refusal !== undefined) {
        draft.result = failed(refusal);
      } else {
        draft.recipients = envelopeRecipients(draft.outgoing);
        if (verified.has(domain)) draft.signingDomain = domain;
        else draft.warnings.push(notVerifiedIssue(domain, 'DOMAIN_NOT_VERIFIED'));
      }
    }
  }

  // ── 3. freeze ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function freeze(drafts: Draft[]): Promise<void> {
    const yieldTurn = turns();
    for (const draft of drafts) {
      if (draft.result !== undefined) continue;
      await yieldTurn();
      if (!isSurelyTooLarge(draft.outgoing)) draft.mime = await mime.freeze(draft.outgoing, draft.createdAt);
      draft.sizeBytes = draft.mime?.length ?? Number.POSITIVE_INFINITY;
      if (draft.sizeBytes > maxMimeBytes) {
        const message = 'The message is over 40 MB when encoded. Attachments grow by a third; link to large files instead.';
        draft.result = failed(errors.PAYLOAD_TOO_LARGE({ message, issues: [{ path: '', code: 'too_large', message }] }));
      }
    }
  }

  // ── 4. compress ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function compress(drafts: Draft[]): Promise<void> {
    const yieldTurn = turns();
    for (const draft of drafts) {
      if (draft.result !== undefined) continue;
      await yieldTurn();
      draft.chunks = await compressContent(draft.mime!);
      // Up to 60 MB of a request need not stay until the commit.
      draft.mime = undefined;
    }
  }

  // ── 5. commit ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function commit(drafts: readonly Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<Committed> {
    if (drafts.every((draft) => draft.result !== undefined)) return { results: drafts.map((draft) => draft.result!) };
    const acceptance = acceptanceOf(drafts, request, caller);
    try {
      return await group.submit(acceptance);
    } catch (error) {
      if (error instanceof CommitOutcomeUnknown) return await answerAfterLostCommit(drafts, caller, error);
      if (isUniqueViolation(error)) return await answerKnownIds(drafts, request, caller, error);
      // What the rules let through and a text column does not take: this request's own fault.
      if (sqlState(error) === sqlStates.invalidText)
        throw errors.VALIDATION_ERROR({ message: 'The message has text that can’t be stored.', cause: error });
      throw error;
    }
  }

  function acceptanceOf(
    drafts: readonly Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
  ): Acceptance<Committed> & { sizeBytes: number } {
    const open = drafts.filter((draft) => draft.result === undefined);
    const whole = requestKey(request, caller);
    const items = open.flatMap((draft) => itemKey(draft, caller) ?? []);
    const bytes = open.reduce((sum, draft) => sum + draft.chunks.reduce((all, chunk) => all + chunk.length, 0), 0);
    return {
      keys: [...whole, ...items],
      // A group has at most 200 messages and 1 MB, so many messages weigh like bytes.
      sizeBytes: Math.max(bytes, (open.length * groupBytes) / groupMessages),
      decide: (claims) => decide(drafts, request, caller, whole, claims),
    };
  }

  /** In the transaction: what is written and answered, now that it is known which keys this request holds. */
  function decide(
    drafts: readonly Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
    whole: readonly IdempotencyRequest[],
    claims: readonly IdempotencyClaim[],
  ): Decision<Committed> | Error {
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
      const key = draft.result === undefined ? itemKey(draft, caller) : undefined;
      const result = draft.result ?? (key === undefined ? undefined : settledBy(itemClaims.next().value!));
      if (result !== undefined) {
        results.push(result);
        continue;
      }
      const accepted = { result: { $case: 'accepted' as const, value: acceptedOf(draft) } };
      messages.push(newMessage(draft, request, caller));
      if (key !== undefined) answers.push({ ...key, response: AcceptResult.encode(accepted).finish() });
      results.push(accepted);
    }
    if (request.atomic && results.some(({ result }) => result?.$case === 'error')) return allFailed(results);
    if (whole[0] !== undefined) {
      const response = AcceptMessagesResponse.encode({ results, replayed: false, batchId: request.batchId }).finish();
      answers.push({ ...whole[0], response });
    }
    return { messages, answers, answer: { results } };
  }

  /** The transaction may have happened: what is there now decides. */
  async function answerAfterLostCommit(drafts: readonly Draft[], caller: AcceptCaller, cause: CommitOutcomeUnknown): Promise<Committed> {
    const open = drafts.filter((draft) => draft.result === undefined);
    const ids = open.map((draft) => draft.uuid);
    let looked = false;
    for (const delayMs of lookAfterMs) {
      // Real time, not the clock's: a connection is waited for, nothing is due.
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const found = await findAccepted(database.pool, caller.tenantUuid, ids).catch(() => undefined);
      looked ||= found !== undefined;
      if (found === undefined || found.size === 0) continue;
      telemetry.commitUnknown('kept', found.size);
      // All messages of a request are written or none, but for those whose own key another request held.
      return { results: drafts.map((draft) => draft.result ?? (found.has(draft.uuid) ? acceptedResult(draft) : failed(inProgress()))) };
    }
    telemetry.commitUnknown(looked ? 'not_kept' : 'not_known', open.length);
    throw unavailable(cause);
  }

  /** Some of the ids are there already: the gateway asks again. Those are accepted, the others are still to be written. */
  async function answerKnownIds(
    drafts: readonly Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
    cause: unknown,
  ): Promise<Committed> {
    const open = drafts.filter((draft) => draft.result === undefined);
    const found = await findAccepted(
      database.pool,
      caller.tenantUuid,
      open.map((draft) => draft.uuid),
    );
    if (found.size === 0) throw errors.CONFLICT({ message: 'A message of this id exists already.', cause });
    for (const draft of open) if (found.has(draft.uuid)) draft.result = acceptedResult(draft);
    return await commit(drafts, request, caller);
  }

  function newMessage(draft: Draft, request: AcceptMessagesRequest, caller: AcceptCaller): NewMessage {
    const { outgoing, recipients } = draft;
    const from = outgoing.from!;
    const scheduled = isScheduled(draft);
    const recipientStatus = scheduled ? RecipientStatus.RECIPIENT_STATUS_SCHEDULED : RecipientStatus.RECIPIENT_STATUS_QUEUED;
    return {
      id: draft.uuid,
      tenantId: caller.tenantUuid,
      batchId: request.batchId === '' ? null : (idToUuid('bat', request.batchId) ?? null),
      status: scheduled ? MessageStatus.MESSAGE_STATUS_SCHEDULED : MessageStatus.MESSAGE_STATUS_QUEUED,
      statusCounts: initialCounts(recipientStatus, recipients.length),
      recipientStatus,
      fromEmail: from.email,
      fromName: from.name,
      replyTo: outgoing.replyTo,
      subject: outgoing.subject,
      tags: outgoing.tags,
      metadata: outgoing.metadata,
      sendAt: outgoing.sendAt ?? null,
      sizeBytes: draft.sizeBytes,
      captured: capture,
      recipients,
      chunks: draft.chunks,
      event: {
        messageId: outgoing.id,
        tenantId: caller.tenantId,
        mailFrom: from.email,
        signingDomain: draft.signingDomain,
        recipients: recipients.map(({ number, email }) => ({ number, address: email })),
        acceptedAt: draft.createdAt,
        sendAt: outgoing.sendAt,
        sizeBytes: BigInt(draft.sizeBytes),
        captured: capture,
      },
      traceparent: caller.traceparent,
    };
  }

  // ── 7. answer ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  function acceptedOf(draft: Draft): Accepted {
    return {
      id: draft.outgoing.id,
      status: isScheduled(draft) ? MessageStatus.MESSAGE_STATUS_SCHEDULED : MessageStatus.MESSAGE_STATUS_QUEUED,
      createdAt: draft.createdAt,
      estimatedSendAt: isScheduled(draft) ? draft.outgoing.sendAt : draft.createdAt,
      warnings: draft.warnings,
      captured: capture,
    };
  }

  function acceptedResult(draft: Draft): AcceptResult {
    return { result: { $case: 'accepted', value: acceptedOf(draft) } };
  }

  function report(results: readonly AcceptResult[], durationMs: number): void {
    const count = results.filter(({ result }) => result?.$case === 'accepted').length;
    if (count > 0) telemetry.accepted(count, durationMs);
    for (const { result } of results) if (result?.$case === 'error') telemetry.refused(result.value.code);
  }

  return { accept, [Symbol.asyncDispose]: () => group[Symbol.asyncDispose]() };
}

/** What can be said of the request as a whole. */
function refuseBadRequest(request: AcceptMessagesRequest): void {
  const issues: Issue[] = [];
  const add = (path: string, code: string, message: string) => void issues.push({ path, code, message });
  if (request.messages.length === 0) add('messages', 'required', 'Give at least one message.');
  if (request.messages.length > maxMessagesPerRequest)
    add('messages', 'too_many', `A request has at most ${maxMessagesPerRequest} messages.`);
  if (request.batchId !== '' && idToUuid('bat', request.batchId) === undefined) add('batch_id', 'invalid_id', 'The batch id is not one.');
  if (isBadKey(request.idempotencyKey))
    add('', 'invalid_idempotency_key', `An idempotency key has at most ${maxKeyChars} characters and no control characters.`);
  if (issues.length > 0) throw errors.VALIDATION_ERROR({ message: 'The request is not valid; see the issues.', issues });
}

function draftOf(outgoing: OutgoingMessage): Draft {
  const uuid = idToUuid('msg', outgoing.id);
  const draft: Draft = {
    outgoing,
    uuid: uuid ?? '',
    createdAt: uuid === undefined ? new Date(0) : uuidTime(uuid),
    result: undefined,
    recipients: [],
    signingDomain: '',
    warnings: [],
    mime: undefined,
    sizeBytes: 0,
    chunks: [],
  };
  if (isBadKey(outgoing.idempotencyKey)) {
    const issue = {
      path: 'idempotency_key',
      code: 'invalid_idempotency_key',
      message: `It has at most ${maxKeyChars} characters and no control characters.`,
    };
    draft.result = failed(errors.VALIDATION_ERROR({ message: 'The message is not valid; see the issues.', issues: [issue] }));
  }
  return draft;
}

/** Lets others have their turn when this request has had the event loop for a few milliseconds: a thousand messages take a hundred. */
function turns(): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < maxTurnMs) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now();
        resolve();
      }),
    );
  };
}

/** Later than its acceptance, by the time in its id, so that the answer is the same when it is worked out again. */
function isScheduled(draft: Draft): boolean {
  return draft.outgoing.sendAt !== undefined && draft.outgoing.sendAt > draft.createdAt;
}

/** Ids and keys that stand twice in one request: the second would wait for the first for ever. */
function duplicateIssues(drafts: readonly Draft[]): Map<Draft, Issue[]> {
  const issues = new Map<Draft, Issue[]>();
  const seen = new Set<string>();
  for (const draft of drafts) {
    const found: Issue[] = [];
    const { id, idempotencyKey } = draft.outgoing;
    if (seen.has(`id ${id}`)) found.push({ path: 'id', code: 'duplicate', message: 'Another message of this request has the same id.' });
    if (idempotencyKey !== '' && seen.has(`key ${idempotencyKey}`)) {
      found.push({ path: 'idempotency_key', code: 'duplicate', message: 'Another message of this request has the same idempotency key.' });
    }
    seen.add(`id ${id}`).add(`key ${idempotencyKey}`);
    if (found.length > 0) issues.set(draft, found);
  }
  return issues;
}

function senderRefusal(domain: string, isAllowed: boolean, isVerified: boolean): RpcError | undefined {
  if (!isAllowed) {
    const message = `This credential may not send from ${domain}.`;
    return errors.SENDER_NOT_ALLOWED({ message, issues: [{ path: 'from', code: 'sender_not_allowed', message }] });
  }
  if (isVerified) return undefined;
  const issue = notVerifiedIssue(domain, 'domain_not_verified');
  return errors.DOMAIN_NOT_VERIFIED({ message: issue.message, issues: [issue] });
}

function notVerifiedIssue(domain: string, code: string): Issue {
  return { path: 'from', code, message: `${domain} is not a verified sending domain. Add it and publish its DNS records, then verify it.` };
}

function failed(error: RpcError): AcceptResult {
  return { result: { $case: 'error', value: error.detail } };
}

function refuseAllIfAnyFailed(drafts: readonly Draft[]): void {
  const results = drafts.map((draft) => draft.result);
  if (results.some((result) => result?.result?.$case === 'error')) throw allFailed(results);
}

/** The failure of an atomic request: the code of the first message that failed, and the issues of all of them. */
function allFailed(results: readonly (AcceptResult | undefined)[]): RpcError {
  const issues: Issue[] = [];
  let code: string | undefined;
  for (const [index, result] of results.entries()) {
    if (result?.result?.$case !== 'error') continue;
    const detail = result.result.value;
    code ??= detail.code;
    const own = detail.issues.length > 0 ? detail.issues : [{ path: '', code: detail.code.toLowerCase(), message: detail.message }];
    for (const issue of own) issues.push({ ...issue, path: `messages[${index}]${issue.path === '' ? '' : `.${issue.path}`}` });
  }
  const make = errors[(code ?? 'VALIDATION_ERROR') as keyof typeof errors];
  return make({
    message: 'Nothing was accepted, because the request is atomic and not all of its messages are valid; see the issues.',
    issues,
  });
}

function isBadKey(key: string): boolean {
  return key.length > maxKeyChars || /\p{Cc}/u.test(key);
}

function requestKey(request: AcceptMessagesRequest, caller: AcceptCaller): IdempotencyRequest[] {
  if (request.idempotencyKey === '') return [];
  return [{ tenantId: caller.tenantUuid, operation: 'messages', key: request.idempotencyKey, requestHash: request.requestSha256 }];
}

function itemKey(draft: Draft, caller: AcceptCaller): IdempotencyRequest | undefined {
  const { idempotencyKey: key, requestSha256: requestHash } = draft.outgoing;
  return key === '' ? undefined : { tenantId: caller.tenantUuid, operation: 'messages.item', key, requestHash };
}

/** What an item's key makes of it; undefined = it is to be worked on. */
function settledBy(found: IdempotencyFinding | IdempotencyClaim): AcceptResult | undefined {
  switch (found.outcome) {
    case 'replay':
      return AcceptResult.decode(found.response);
    case 'mismatch':
      return failed(mismatch());
    case 'in_progress':
      return failed(inProgress());
    case 'absent':
    case 'claimed':
      return undefined;
    default:
      return found satisfies never;
  }
}

function mismatch(): RpcError {
  return errors.IDEMPOTENCY_MISMATCH({ message: 'This idempotency key was used with another request. Use a new key for a new request.' });
}

function inProgress(): RpcError {
  return errors.IDEMPOTENCY_IN_PROGRESS({
    message: 'The first request with this idempotency key is still running. Try again shortly.',
    retryAfterMs: 1000,
  });
}

function unavailable(cause: unknown): RpcError {
  return errors.UNAVAILABLE({ message: 'Messages can’t be kept at the moment. Try again shortly.', retryAfterMs: 1000, cause });
}
