// Step 2 of accepting: what speaks against a request as a whole, and against each of its messages: the rules, and its sender.
import { domainOfAddress } from '@maildoot/mail/address';
import type { AcceptMessagesRequest, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { RpcError } from '@maildoot/rpc/errors';
import { idToUuid } from '@maildoot/runtime/ids';
import { isBadKey, maxKeyChars } from './accept-keys.ts';
import { type Draft, failed, openOnes } from './draft.ts';
import { errors } from './errors.ts';
import { messageIssues } from './message-rules.ts';
import { personalOf } from './personal.ts';
import { envelopeRecipients } from './recipients.ts';
import type { SenderDomains } from './sender-domains.ts';

const maxMessagesPerRequest = 1000;

/** What can be said of the request as a whole. @throws RpcError VALIDATION_ERROR */
export function refuseBadRequest(request: AcceptMessagesRequest): void {
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

export interface CheckParts {
  senderDomains: SenderDomains;
  /** Everything goes to the built-in inbox, so any From will do. */
  capture: boolean;
  now: Date;
}

/** Each message gets its error, or its recipients and signing domain. */
export async function checkDrafts(
  drafts: readonly Draft[],
  { allowedDomains, linkUrl }: Pick<AcceptMessagesRequest, 'allowedDomains' | 'linkUrl'>,
  caller: { tenantId: string; requestId: string; isInstallation?: boolean },
  { senderDomains, capture, now }: CheckParts,
): Promise<void> {
  const open = openOnes(drafts);
  const duplicates = duplicateIssues(open);
  const isAllowed = (domain: string) => allowedDomains.length === 0 || allowedDomains.includes(domain);
  const checked = open.map((draft) => {
    const issues = [...messageIssues(draft.outgoing, now), ...linkIssues(draft.outgoing, linkUrl), ...(duplicates.get(draft) ?? [])];
    const domain = draft.outgoing.from === undefined ? '' : domainOfAddress(draft.outgoing.from.email);
    return { draft, issues, domain, hasSender: !issues.some((issue) => issue.path === 'from') };
  });
  const wanted = new Set(checked.filter(({ hasSender, domain }) => hasSender && isAllowed(domain)).map(({ domain }) => domain));
  const verified = await senderDomains.verified(caller.tenantId, [...wanted], caller.requestId);

  for (const { draft, issues, domain, hasSender } of checked) {
    const refusal = hasSender
      ? senderRefusal(domain, isAllowed(domain), verified.has(domain) || capture || draft.outgoing.test || caller.isInstallation === true)
      : undefined;
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

/** A message that needs links to us can't do without our address. */
function linkIssues(message: OutgoingMessage, linkUrl: string): Issue[] {
  if (linkUrl !== '' || personalOf(message) === 0) return [];
  const path = message.trackOpens || message.trackClicks ? 'tracking' : 'unsubscribe';
  return [{ path, code: 'no_link_url', message: 'Links to this installation are not possible: it does not know its public address.' }];
}

/** Ids and keys that stand twice in one request: the second would wait for the first for ever. */
function duplicateIssues(drafts: readonly Draft[]): Map<Draft, Issue[]> {
  const issues = new Map<Draft, Issue[]>();
  if (drafts.length < 2) return issues;
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
