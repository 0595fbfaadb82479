// One message on its way through the steps of accept.ts, and what is answered for it.
import type { Accepted, AcceptResult, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { RpcError } from '@maildoot/rpc/errors';
import { idToUuid, uuidTime } from '@maildoot/runtime/ids';
import { isBadKey, maxKeyChars } from './accept-keys.ts';
import { errors } from './errors.ts';
import type { EnvelopeRecipient } from './recipients.ts';
import { reasonWord, type SuppressionHit } from './suppression.ts';

/** A message's bytes, and what can't be told from them: its `personal` bits (personal.ts), its template in the database's form. */
export interface Frozen {
  mime: Buffer;
  personal: number;
  templateId: string | null;
}

export interface Draft {
  readonly outgoing: OutgoingMessage;
  readonly uuid: string;
  readonly createdAt: Date;
  /** Set = nothing more is done for it: an error, or the answer of an earlier request. */
  result: AcceptResult | undefined;
  recipients: EnvelopeRecipient[];
  /** By the recipient's number: who gets nothing. Undefined = nobody has looked yet; the commit finds out. */
  suppressed: ReadonlyMap<number, SuppressionHit> | undefined;
  /** Empty = not signed. */
  signingDomain: string;
  warnings: Issue[];
  /** Its tenant sends faster than its pace: when it is this one's turn; see pace.ts. */
  pacedUntil: Date | undefined;
  mime: Buffer | undefined;
  /** Its bytes were made before: it is sent again. Which of them are each recipient's own is known from then. */
  frozen: Frozen | undefined;
  sizeBytes: number;
  chunks: Buffer[];
}

export function draftOf(outgoing: OutgoingMessage, frozen?: Frozen): Draft {
  const uuid = idToUuid('msg', outgoing.id);
  const draft: Draft = {
    outgoing,
    uuid: uuid ?? '',
    createdAt: uuid === undefined ? new Date(0) : uuidTime(uuid),
    result: undefined,
    recipients: [],
    suppressed: undefined,
    signingDomain: '',
    warnings: [],
    pacedUntil: undefined,
    mime: undefined,
    frozen,
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

/** Those that something is still to be done for. */
export function openOnes(drafts: readonly Draft[]): Draft[] {
  return drafts.filter((draft) => draft.result === undefined);
}

/** Later than its acceptance, by the time in its id, so that the answer is the same when it is worked out again. */
export function isScheduled(draft: Draft): boolean {
  return draft.outgoing.sendAt !== undefined && draft.outgoing.sendAt > draft.createdAt;
}

/** Nobody gets it. */
function isSuppressed({ recipients, suppressed }: Pick<Draft, 'recipients' | 'suppressed'>): boolean {
  return suppressed !== undefined && suppressed.size > 0 && recipients.every(({ number }) => suppressed.has(number));
}

/** @param captured it goes to the built-in inbox and nowhere else */
export function acceptedResult(draft: Draft, captured: boolean): AcceptResult {
  const scheduled = isScheduled(draft);
  const suppressed = isSuppressed(draft);
  const open = scheduled ? MessageStatus.MESSAGE_STATUS_SCHEDULED : MessageStatus.MESSAGE_STATUS_QUEUED;
  const value: Accepted = {
    id: draft.outgoing.id,
    status: suppressed ? MessageStatus.MESSAGE_STATUS_SUPPRESSED : open,
    createdAt: draft.createdAt,
    estimatedSendAt: suppressed ? undefined : scheduled ? draft.outgoing.sendAt : (draft.pacedUntil ?? draft.createdAt),
    warnings: [...draft.warnings, ...suppressionWarnings(draft)],
    captured: captured || draft.outgoing.test,
  };
  return { result: { $case: 'accepted', value }, replayed: false };
}

// Of a thousand recipients a few are enough to see what is meant; the message itself has them all.
const maxWarnedRecipients = 20;

function suppressionWarnings({ recipients, suppressed }: Draft): Issue[] {
  if (suppressed === undefined || suppressed.size === 0) return [];
  const paths = ['', 'to', 'cc', 'bcc'];
  return recipients
    .filter(({ number }) => suppressed.has(number))
    .slice(0, maxWarnedRecipients)
    .map(({ number, kind, email }) => {
      const { stream, reason } = suppressed.get(number)!;
      const message = `${email} is on your suppression list for ${stream} (${reasonWord(reason)}) and gets nothing.`;
      return { path: paths[kind] ?? 'to', code: 'RECIPIENT_SUPPRESSED', message };
    });
}

export function failed(error: RpcError): AcceptResult {
  return { result: { $case: 'error', value: error.detail }, replayed: false };
}

export function hasFailed(result: AcceptResult | undefined): boolean {
  return result?.result?.$case === 'error';
}

/** For a request that is atomic. */
export function refuseAllIfAnyFailed(drafts: readonly Draft[]): void {
  const results = drafts.map((draft) => draft.result);
  if (results.some(hasFailed)) throw allFailed(results);
}

/** The failure of an atomic request: the code of the first message that failed, and the issues of all of them. */
export function allFailed(results: readonly (AcceptResult | undefined)[]): RpcError {
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
