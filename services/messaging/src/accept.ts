// Accepting messages. The steps, in this order:
//   1. replay     an idempotency key that was used before gets its stored answer, before any refusal
//   2. check      every message against the rules, and its sender
//   3. freeze     each message into its MIME, its template filled in (templates.ts), outside of any transaction
//   4. compress   the MIME into chunks
//   5. commit     message, recipients, content, idempotency record and outbox row, in a transaction that concurrent requests share
//   6. wake       the sequencer, which gives the outbox rows their positions
//   7. answer     nobody hears "accepted" before the commit
// For a small request the first step comes only when another has something against it: most keys are new, and the commit finds the record
// of one that isn't, so that looking first would be a round trip to the database for nothing.
import type { Database } from '@maildoot/db/database';
import { findRecords } from '@maildoot/db/idempotency';
import type { LinkKey } from '@maildoot/mail/tracking-token';
import {
  type AcceptMessagesRequest,
  AcceptMessagesResponse,
  type AcceptResult,
  type OutgoingMessage,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Clock } from '@maildoot/runtime/clock';
import { checkDrafts, refuseBadRequest } from './accept-check.ts';
import { createCommitter } from './accept-commit.ts';
import { itemKey, mismatch, requestKeys, settledBy } from './accept-keys.ts';
import { compressContent } from './content.ts';
import { type Draft, draftOf, type Frozen, failed, hasFailed, openOnes, refuseAllIfAnyFailed } from './draft.ts';
import { errors } from './errors.ts';
import { isSurelyTooLarge, type MimeFreezer, maxMimeBytes, partsBytes } from './mime.ts';
import type { Pace, Turn } from './pace.ts';
import { type Links, personalOf } from './personal.ts';
import { completeRawMime, isRaw } from './raw-mime.ts';
import type { SenderDomains } from './sender-domains.ts';
import type { Telemetry } from './telemetry.ts';
import { fillTemplates, type TemplateRenderer } from './templates.ts';
import type { TrackingHosts } from './tracking-hosts.ts';

const maxTurnMs = 4;
// Composing so much for nothing costs less than asking the database.
const smallBytes = 32 * 1024;

/** On whose behalf. `tenantUuid` is the database's form of `tenantId`. */
export interface AcceptCaller {
  tenantId: string;
  tenantUuid: string;
  requestId: string;
  traceparent: string | undefined;
  /** The installation itself: its From need not be verified; unsigned where it isn't. */
  isInstallation?: boolean;
}

export interface AcceptParts {
  database: Database;
  senderDomains: SenderDomains;
  trackingHosts: TrackingHosts;
  mime: MimeFreezer;
  /** Undefined: messages with templates can't be accepted. */
  templates?: TemplateRenderer | undefined;
  /** Signs the targets of links. */
  linkKey: LinkKey;
  /** Everything goes to the built-in inbox, so any From will do. */
  capture: boolean;
  /** When each tenant's turn is. */
  pace: Pick<Pace, 'take'>;
  clock: Clock;
  telemetry: Telemetry;
  /** Called after a commit. */
  wakeSequencer(): void;
  /** How many transactions may run at a time. */
  commitConcurrency: number;
}

export interface Acceptor extends AsyncDisposable {
  /** @param frozen bytes that were made before, for a request of one message */
  accept(request: AcceptMessagesRequest, caller: AcceptCaller, frozen?: Frozen): Promise<AcceptMessagesResponse>;
  /** The steps up to the commit, without it: the message as it would be kept, or why it would not be. */
  prepare(
    outgoing: OutgoingMessage,
    request: Pick<AcceptMessagesRequest, 'allowedDomains' | 'linkUrl'>,
    caller: AcceptCaller,
  ): Promise<Draft>;
}

export function createAcceptor(parts: AcceptParts): Acceptor {
  const { database, senderDomains, mime, capture, clock, telemetry } = parts;
  const committer = createCommitter(parts);

  async function accept(request: AcceptMessagesRequest, caller: AcceptCaller, frozen?: Frozen): Promise<AcceptMessagesResponse> {
    const startedAt = performance.now();
    refuseBadRequest(request);
    const drafts = request.messages.map((outgoing) => draftOf(outgoing, frozen));
    if (request.replayOnly === true) return await replayOnly(drafts, request, caller);

    const looksFirst = !isSmall(request);
    const earlier = looksFirst ? await replay(drafts, request, caller) : undefined;
    if (earlier !== undefined) return earlier;
    let turn: Turn;
    try {
      await prepare(drafts, request, caller);
      turn = await parts.pace.take(drafts, caller.tenantUuid);
    } catch (error) {
      const stored = looksFirst ? undefined : await replay(drafts, request, caller);
      if (stored !== undefined) return stored;
      throw error;
    }
    if (!looksFirst && drafts.some((draft) => hasFailed(draft.result))) {
      const stored = await replay(drafts, request, caller);
      if (stored !== undefined) return stored;
    }
    const committed = await committer.commit(drafts, request, caller).catch(async (error: unknown) => {
      await turn.giveBack();
      throw error;
    });
    parts.wakeSequencer();

    if ('replay' in committed) {
      await turn.giveBack();
      return replayOf(committed.replay, drafts);
    }
    report(committed.results, performance.now() - startedAt);
    return { results: committed.results, replayed: false, batchId: request.batchId };
  }

  // ── 1. replay ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function replay(
    drafts: Draft[],
    request: AcceptMessagesRequest,
    caller: AcceptCaller,
  ): Promise<AcceptMessagesResponse | undefined> {
    const whole = requestKeys(request, caller.tenantUuid);
    const keyed = openOnes(drafts).flatMap((draft) => {
      const key = itemKey(draft.outgoing, caller.tenantUuid);
      return key === undefined ? [] : [{ draft, key }];
    });
    if (whole.length + keyed.length === 0) return undefined;
    const findings = await findRecords(database.pool, [...whole, ...keyed.map(({ key }) => key)], clock.now());
    if (whole.length === 1) {
      const finding = findings.shift()!;
      if (finding.outcome === 'replay') return replayOf(AcceptMessagesResponse.decode(finding.response), drafts);
      if (finding.outcome === 'mismatch') throw mismatch();
    }
    for (const [index, { draft }] of keyed.entries()) draft.result = settledBy(findings[index]!, draft.outgoing.id);
    return undefined;
  }

  async function replayOnly(drafts: Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<AcceptMessagesResponse> {
    const earlier = await replay(drafts, request, caller);
    if (earlier !== undefined) return earlier;
    const results = drafts.flatMap(({ result }) => result ?? []);
    return { results: results.length === drafts.length ? results : [], replayed: false, batchId: request.batchId };
  }

  function replayOf(stored: AcceptMessagesResponse, drafts: readonly Draft[]): AcceptMessagesResponse {
    // The same ids: the gateway asks again because it did not hear the answer, so its caller hears it for the first time.
    const sameRequest = stored.results.some(
      ({ result }, index) => result?.$case === 'accepted' && result.value.id === drafts[index]?.outgoing.id,
    );
    if (!sameRequest) telemetry.replayed();
    return { ...stored, replayed: !sameRequest };
  }

  // ── 2. check, 3. freeze, 4. compress ───────────────────────────────────────────────────────────────────────────────────────

  async function prepare(drafts: Draft[], request: AcceptMessagesRequest, caller: AcceptCaller): Promise<void> {
    await checkDrafts(drafts, request, caller, { senderDomains, capture, now: clock.now() });
    await fillTemplates(drafts, caller, parts.templates);
    if (request.atomic) refuseAllIfAnyFailed(drafts);
    await freeze(drafts, request, caller);
    if (request.atomic) refuseAllIfAnyFailed(drafts);
    await compress(drafts);
  }

  async function freeze(drafts: Draft[], request: Pick<AcceptMessagesRequest, 'linkUrl'>, caller: AcceptCaller): Promise<void> {
    const yieldTurn = turns();
    for (const draft of drafts) {
      if (draft.result !== undefined) continue;
      await yieldTurn();
      if (draft.frozen !== undefined) draft.mime = draft.frozen.mime;
      else if (isRaw(draft.outgoing)) draft.mime = completeRawMime(draft.outgoing, draft.createdAt);
      else if (!isSurelyTooLarge(draft.outgoing))
        draft.mime = await mime.freeze(draft.outgoing, draft.createdAt, await linksOf(draft, request, caller));
      draft.sizeBytes = draft.mime?.length ?? Number.POSITIVE_INFINITY;
      // By SMTP the sender was told how long his may be (RFC 1870): what we put in front of it doesn't count.
      if ((isRaw(draft.outgoing) ? draft.outgoing.rawMime.length : draft.sizeBytes) > maxMimeBytes) {
        const message = 'The message is over 40 MB when encoded. Attachments grow by a third; link to large files instead.';
        draft.result = failed(errors.PAYLOAD_TOO_LARGE({ message, issues: [{ path: '', code: 'too_large', message }] }));
      }
    }
  }

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

  // ── 7. answer ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  function report(results: readonly AcceptResult[], durationMs: number): void {
    const count = results.filter(({ result }) => result?.$case === 'accepted').length;
    if (count > 0) telemetry.accepted(count, durationMs);
    for (const { result } of results) if (result?.$case === 'error') telemetry.refused(result.value.code);
  }

  async function prepareOne(
    outgoing: OutgoingMessage,
    request: Pick<AcceptMessagesRequest, 'allowedDomains' | 'linkUrl'>,
    caller: AcceptCaller,
  ): Promise<Draft> {
    const draft = draftOf(outgoing);
    await checkDrafts([draft], request, caller, { senderDomains, capture, now: clock.now() });
    await fillTemplates([draft], caller, parts.templates);
    await freeze([draft], request, caller);
    return draft;
  }

  async function linksOf(
    { outgoing, signingDomain: domain }: Draft,
    { linkUrl }: Pick<AcceptMessagesRequest, 'linkUrl'>,
    { tenantId, requestId }: AcceptCaller,
  ): Promise<Links | undefined> {
    if (linkUrl === '' || personalOf(outgoing) === 0) return undefined;
    return { url: await parts.trackingHosts.urlFor({ tenantId, domain, requestId }, linkUrl), key: parts.linkKey };
  }

  return { accept, prepare: prepareOne, [Symbol.asyncDispose]: () => committer[Symbol.asyncDispose]() };
}

/** One message under at most the request's own key, and not worth a look before it is composed. */
export function isSmall({ messages }: AcceptMessagesRequest): boolean {
  const [message, ...more] = messages;
  if (message === undefined || more.length > 0 || message.idempotencyKey !== '' || partsBytes(message) >= smallBytes) return false;
  if (message.rawMime.length >= smallBytes) return false;
  // Rendering takes the time that the caller's template takes: how long it took says nothing of how much there is to do here.
  return message.templateId === '';
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
