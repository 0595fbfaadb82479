// Where a domain or one of its records stands: the words of the API and the database, the numbers of the contract.

import { DomainStatus } from '@maildoot/proto/maildoot/domain/v1/domain';

/**
 * `pending` never seen right, and nothing wrong there either · `verified` seen right · `failed` something else is there ·
 * `drifted` was right once and isn't any more.
 */
export type Status = 'pending' | 'verified' | 'failed' | 'drifted';

const numbers: Record<Status, DomainStatus> = {
  pending: DomainStatus.DOMAIN_STATUS_PENDING,
  verified: DomainStatus.DOMAIN_STATUS_VERIFIED,
  failed: DomainStatus.DOMAIN_STATUS_FAILED,
  drifted: DomainStatus.DOMAIN_STATUS_DRIFTED,
};

export function statusNumber(status: Status): DomainStatus {
  return numbers[status];
}

/** A row's word. Throws on one that this release doesn't know: guessing could let somebody send who may not. */
export function statusOf(word: string): Status {
  if (!Object.hasOwn(numbers, word)) throw new Error(`a domain's status is ${JSON.stringify(word)}, which this release doesn't know`);
  return word as Status;
}
