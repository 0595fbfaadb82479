// Every counter and log line that domain-provisioning emits. Domain names are public; keys and tokens are never logged.

import { uuidToId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram } from '@maildoot/runtime/telemetry';
import type { Status } from './status.ts';
import type { Verified } from './verify-domain.ts';

const domainsCreated = counter('domain-provisioning', 'domains.created', { description: 'Domains added, by where their keys came from.' });
const looks = counter('domain-provisioning', 'domains.looks', { description: 'Verifications, by the status that came of them.' });
const lookDuration = histogram('domain-provisioning', 'domains.look.duration', {
  unit: 'ms',
  description: 'How long asking the name servers took.',
});
const takenOver = counter('domain-provisioning', 'domains.taken_over', {
  description: 'Domains that went to another tenant by its ownership record.',
});
const deletions = counter('domain-provisioning', 'domains.deleted', { description: 'Domains given up.' });
const rotations = counter('domain-provisioning', 'dkim.rotations', { description: 'Changes of signing keys, by step.' });
const checkFailures = counter('domain-provisioning', 'domains.checks.failed', {
  description: 'Scheduled looks that could not be made or written down.',
});
const events = counter('domain-provisioning', 'events.told', { description: 'Events of domains that messaging took, by type.' });
const eventsUntold = counter('domain-provisioning', 'events.untold', { description: 'Tries to tell an event that failed.' });
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
  deleted(logger: Logger, domain: string): void {
    deletions.add(1);
    logger.info({ domain }, 'domain given up');
  },
  rotationBegun(logger: Logger, domain: string): void {
    rotations.add(1, { step: 'begun' });
    logger.info({ domain }, 'a new signing key waits for its record');
  },
  changedOver(logger: Logger, domain: string, selector: string): void {
    rotations.add(1, { step: 'changed_over' });
    logger.info({ domain, selector }, 'a new key signs from now on: its record was seen');
  },
  checkFailed(logger: Logger, domain: string, error: unknown): void {
    checkFailures.add(1);
    logger.warn({ domain, err: error }, 'a domain could not be looked at; tried again later');
  },
  checksStopped(logger: Logger, error: unknown): void {
    checkFailures.add(1);
    logger.warn({ err: error }, 'domains that are due could not be found; tried again later');
  },
  eventTold(logger: Logger, type: string): void {
    events.add(1, { type });
    logger.debug({ type }, 'an event of a domain was told');
  },
  eventRefused(logger: Logger, eventId: string, error: unknown): void {
    eventsUntold.add(1);
    logger.warn({ event_id: eventId, err: error }, 'an event of a domain was not taken; told again later');
  },
  eventDropped(logger: Logger, eventId: string, error: unknown): void {
    eventsUntold.add(1);
    logger.error({ event_id: eventId, err: error }, 'an event of a domain can’t be told and was given up');
  },
  eventsNotTold(logger: Logger, error: unknown): void {
    eventsUntold.add(1);
    logger.warn({ err: error }, 'events of domains could not be read; tried again later');
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

/** What came of one look, whoever asked for it. */
export function tellOfLook(logger: Logger, { domain, before, lookMs, lostBy, changedOverTo }: Verified): void {
  telemetry.looked(logger, domain.name, before, domain.status, lookMs);
  if (lostBy !== undefined) telemetry.takenOver(logger, domain.name, uuidToId('ten', lostBy));
  if (changedOverTo !== undefined) telemetry.changedOver(logger, domain.name, changedOverTo);
}
