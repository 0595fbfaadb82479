// Every counter and log line that domain-provisioning emits. Domain names are public; keys and tokens are never logged.

import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram } from '@maildoot/runtime/telemetry';
import type { Status } from './status.ts';

const domainsCreated = counter('domain-provisioning', 'domains.created', { description: 'Domains added, by where their keys came from.' });
const looks = counter('domain-provisioning', 'domains.looks', { description: 'Verifications, by the status that came of them.' });
const lookDuration = histogram('domain-provisioning', 'domains.look.duration', {
  unit: 'ms',
  description: 'How long asking the name servers took.',
});
const takenOver = counter('domain-provisioning', 'domains.taken_over', {
  description: 'Domains that went to another tenant by its ownership record.',
});
const sparesUnusable = counter('domain-provisioning', 'dkim.spare_keys.unusable', {
  description: 'Spare key pairs that could not be opened.',
});

export const telemetry = {
  domainCreated(logger: Logger, domainId: string, domain: string, keys: 'spare' | 'made_now'): void {
    domainsCreated.add(1, { keys });
    logger.info({ domain_id: domainId, domain, keys }, 'domain added');
  },
  looked(logger: Logger, domain: string, from: Status, to: Status, durationMs: number): void {
    looks.add(1, { status: to });
    lookDuration.record(durationMs);
    logger.info({ domain, from, to, duration_ms: Math.round(durationMs) }, 'the records of a domain were looked at');
  },
  /** Worth a person's look: two customers say that the same domain is theirs. */
  takenOver(logger: Logger, domain: string, fromTenantId: string): void {
    takenOver.add(1);
    logger.warn(
      { domain, from_tenant_id: fromTenantId },
      'a domain went to another tenant: its ownership record is there, the former one is gone',
    );
  },
  spareUnusable(logger: Logger, error: unknown): void {
    sparesUnusable.add(1);
    logger.warn({ err: error }, 'a spare DKIM key could not be opened and was thrown away; SEAL_KEYS may have lost its key');
  },
  sparesNotMade(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'spare DKIM keys could not be made or kept; tried again later, until then keys are made when asked for');
  },
  answersNotExpired(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'expired idempotency records could not be removed; tried again later');
  },
};
