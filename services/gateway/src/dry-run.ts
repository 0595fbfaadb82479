// Dry runs: what messaging says would be kept, and how receivers would see its sender, by a look at live DNS.
import { type Domain, DomainStatus, RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { apiErrorFrom } from './errors.ts';
import { exampleMime } from './message-examples.ts';
import { EncodedAcceptRequest } from './peers.ts';
import type { Call } from './route.ts';

const deadlineMs = 20_000;
// Live DNS is slow at times; what is not known by then is said to be unknown.
const dnsDeadlineMs = 5_000;

const alignmentSchema = z
  .strictObject({
    result: z.enum(['pass', 'fail', 'unknown']),
    domain: z.string().nullable(),
    detail: z.string().meta({ description: 'What was seen, or what is missing.' }),
  })
  .meta({ id: 'Alignment' });

const issueSchema = z.strictObject({ path: z.string(), code: z.string(), message: z.string() });

export const dryRunSchema = z
  .strictObject({
    object: z.literal('dry_run'),
    acceptable: z
      .boolean()
      .meta({ description: 'Whether sending would have been answered 202. The day’s quota and the backlog are not looked at.' }),
    error: z
      .strictObject({ code: z.string(), message: z.string(), issues: z.array(issueSchema) })
      .nullable()
      .meta({ description: 'Why it would have been refused.' }),
    mime: z.string().nullable().meta({ description: 'The message as it would have been kept, unsigned.' }),
    size_bytes: z.int(),
    recipients: z.int(),
    suppressed: z.array(z.strictObject({ email: z.string(), stream: z.string(), reason: z.string() })),
    warnings: z.array(issueSchema),
    alignment: z
      .strictObject({ spf: alignmentSchema, dkim: alignmentSchema, dmarc: alignmentSchema })
      .meta({ description: 'How receivers would judge the sender, by the records that DNS shows now.' }),
  })
  .meta({ id: 'DryRun' });

type DryRunJson = z.input<typeof dryRunSchema>;
type Alignment = DryRunJson['alignment'];

export const exampleDryRun: DryRunJson = {
  object: 'dry_run',
  acceptable: true,
  error: null,
  mime: exampleMime,
  size_bytes: 361,
  recipients: 1,
  suppressed: [],
  warnings: [],
  alignment: {
    spf: { result: 'pass', domain: 'yourdomain.com', detail: 'The record authorises us.' },
    dkim: { result: 'pass', domain: 'yourdomain.com', detail: 'The key is published.' },
    dmarc: { result: 'pass', domain: 'yourdomain.com', detail: 'There is a policy, and SPF and DKIM are aligned with From.' },
  },
};

export async function dryRun(
  request: AcceptMessagesRequest | EncodedAcceptRequest,
  { peers, principal, requestId, signal }: Call,
): Promise<DryRunJson> {
  const { messages, allowedDomains, credentialId, linkUrl } =
    request instanceof EncodedAcceptRequest ? AcceptMessagesRequest.decode(request.bytes) : request;
  const [message] = messages;
  const { tenantId } = principal;
  const domain = message?.from?.email.split('@').at(-1) ?? '';
  const [looked, alignment] = await Promise.all([
    peers.messaging.dryRun({ message, allowedDomains, credentialId, linkUrl }, { tenantId, requestId, signal, deadlineMs }),
    peers.domains
      .verifyDomain(
        { domain, idempotencyKey: '', requestSha256: Buffer.alloc(0) },
        { tenantId, requestId, signal, deadlineMs: dnsDeadlineMs },
      )
      .then(({ domain: seen }) => alignmentOf(domain, seen))
      .catch((error: unknown) => unseen(domain, apiErrorFrom(error).code)),
  ]);
  const { error, mime } = looked;
  return {
    object: 'dry_run',
    acceptable: error === undefined,
    error: error === undefined ? null : { code: error.code, message: error.message, issues: issuesJson(error.issues) },
    mime: mime.length === 0 ? null : Buffer.from(mime).toString('utf8'),
    size_bytes: Number(looked.sizeBytes),
    recipients: looked.recipients,
    suppressed: looked.suppressed.map(({ email, stream, reason }) => ({ email, stream, reason })),
    warnings: issuesJson(looked.warnings),
    alignment,
  };
}

function issuesJson(issues: readonly { path: string; code: string; message: string }[]): z.input<typeof issueSchema>[] {
  return issues.map(({ path, code, message }) => ({ path, code, message }));
}

/** What a receiver sees, from the domain's records as they were looked up just now. */
function alignmentOf(domain: string, seen: Domain | undefined): Alignment {
  const verified = (purpose: RecordPurpose) =>
    seen?.records.some((record) => record.purpose === purpose && record.status === DomainStatus.DOMAIN_STATUS_VERIFIED) ?? false;
  const problemOf = (purpose: RecordPurpose, otherwise: string) =>
    seen?.records.find((record) => record.purpose === purpose && record.problem !== '')?.problem ?? otherwise;
  const judged = (ok: boolean, good: string, bad: string): Alignment['spf'] => ({
    result: ok ? 'pass' : 'fail',
    domain,
    detail: ok ? good : bad,
  });
  const { RECORD_PURPOSE_SPF, RECORD_PURPOSE_DKIM, RECORD_PURPOSE_DMARC, RECORD_PURPOSE_RETURN_PATH } = RecordPurpose;

  // A return path below the domain has the SPF of the host that it leads to, and is aligned (RFC 7489 section 3.1.2, relaxed).
  const spfOk = verified(RECORD_PURPOSE_SPF) || verified(RECORD_PURPOSE_RETURN_PATH);
  // The key that signs now, not the one that is ahead or behind it.
  const signing = seen?.records.find(({ purpose, required }) => purpose === RECORD_PURPOSE_DKIM && required);
  const dkimOk = signing?.status === DomainStatus.DOMAIN_STATUS_VERIFIED;
  const policy = verified(RECORD_PURPOSE_DMARC);
  const aligned = [spfOk ? 'SPF' : '', dkimOk ? 'DKIM' : ''].filter((name) => name !== '').join(' and ');
  return {
    spf: judged(spfOk, 'The record authorises us.', problemOf(RECORD_PURPOSE_SPF, 'No record authorises us to send for this domain.')),
    dkim: judged(dkimOk, 'The key is published.', signing?.problem || 'The key that would sign is not published.'),
    dmarc: judged(
      policy && aligned !== '',
      `There is a policy, and ${aligned} ${aligned.includes(' ') ? 'are' : 'is'} aligned with From.`,
      policy ? 'There is a policy, and neither SPF nor DKIM is aligned with From.' : problemOf(RECORD_PURPOSE_DMARC, 'There is no policy.'),
    ),
  };
}

/** Not a domain of the account, or nobody answered. */
function unseen(domain: string, code: string): Alignment {
  const own = code !== 'NOT_FOUND';
  const one: Alignment['spf'] = {
    result: own ? 'unknown' : 'fail',
    domain: domain === '' ? null : domain,
    detail: own
      ? 'DNS gave no answer in time. Try again.'
      : 'This is not a domain of yours: nothing is published for it, and nothing signs.',
  };
  return { spf: one, dkim: one, dmarc: one };
}
