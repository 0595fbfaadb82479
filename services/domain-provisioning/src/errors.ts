// What a call to domain-provisioning can fail with: a closed list.

import { answeringWith, databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { defineErrors } from '@maildoot/rpc/errors';

export const errors = defineErrors({
  /** The request is not what it must be; the issues say where. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** The tenant has it already, or another tenant has verified it. */
  DOMAIN_EXISTS: { status: 'ALREADY_EXISTS', retryable: false },
  /** Not there, or somebody else's. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** What is asked for contradicts the state of the domain, or the tenant has as many as it can have. */
  CONFLICT: { status: 'FAILED_PRECONDITION', retryable: false },
  /** There is no key that may sign for it. */
  DOMAIN_NOT_VERIFIED: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The first request with this idempotency key has not been answered yet. */
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  /** The idempotency key was used with another request. */
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The database can't be reached. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
});

/** For every handler that asks the database. */
export const answering = answeringWith((cause) =>
  errors.UNAVAILABLE({
    message: 'Domains can’t be read or kept at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause,
  }),
);

export function tooManyDomains(most: number) {
  const message = `You have as many domains as an account can have: ${most}. Delete those that you no longer send from.`;
  return errors.CONFLICT({ message, issues: [{ path: 'domain', code: 'too_many', message }] });
}

/** Answers alike for what is not there and for what is another tenant's. */
export function noSuchDomain() {
  return errors.NOT_FOUND({ message: 'There is no domain of this name. Add it first.' });
}
