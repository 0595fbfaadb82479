// The DNS records that a customer publishes for a sending domain. They follow from the claim and the settings and are stored nowhere;
// stored is only what was seen of each.

import { randomBytes } from 'node:crypto';
import { RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import { dkimRecordValue } from './dkim-record.ts';
import { dmarcRecordValue } from './dmarc-record.ts';
import { spfRecordValue } from './spf-record.ts';

/** What a claim has of its own. */
export interface Claim {
  /** Lower-case A-labels. */
  name: string;
  ownershipToken: string;
  keys: readonly SelectorKey[];
}

export interface SelectorKey {
  selector: string;
  /** The one that signs. */
  active: boolean;
  /** SubjectPublicKeyInfo, base64. */
  publicKey: string;
}

/** Names a record within its domain, for as long as the domain exists: `ownership`, `dkim:md1`, `spf`, `dmarc`. */
export type Slot = string;

interface Published {
  slot: Slot;
  type: 'TXT';
  /** Fully qualified, without the final dot. */
  name: string;
  /** As one string; whoever publishes it splits it at 255 bytes. */
  value: string;
  /** A domain is verified when all of these are. */
  required: boolean;
}

/** A record with what is needed to judge an answer by it. */
export type ExpectedRecord = Published &
  ({ purpose: 'ownership' } | { purpose: 'dkim'; publicKey: string } | { purpose: 'spf'; mailHostname: string } | { purpose: 'dmarc' });

/** In the order in which they are shown. */
export function recordsToPublish(claim: Claim, mailHostname: string): ExpectedRecord[] {
  const at = (name: string, value: string) => ({ type: 'TXT' as const, name, value });
  const selectors = [...claim.keys].sort((left, right) => (left.selector < right.selector ? -1 : 1));
  return [
    { slot: 'ownership', purpose: 'ownership', required: true, ...at(`_maildoot.${claim.name}`, ownershipValue(claim.ownershipToken)) },
    ...selectors.map(({ selector, active, publicKey }) => ({
      slot: `dkim:${selector}`,
      purpose: 'dkim' as const,
      publicKey,
      // The other selector is published ahead for the day when the keys change places.
      required: active,
      ...at(`${selector}._domainkey.${claim.name}`, dkimRecordValue(publicKey)),
    })),
    { slot: 'spf', purpose: 'spf', mailHostname, required: false, ...at(claim.name, spfRecordValue(mailHostname)) },
    { slot: 'dmarc', purpose: 'dmarc', required: false, ...at(`_dmarc.${claim.name}`, dmarcRecordValue) },
  ];
}

export function ownershipValue(token: string): string {
  return `maildoot-verification=${token}`;
}

/** 128 bits: nobody publishes a foreign token by accident, or guesses which one to ask somebody to publish. */
export function newOwnershipToken(): string {
  return randomBytes(16).toString('hex');
}

export function purposeNumber(purpose: ExpectedRecord['purpose']): RecordPurpose {
  switch (purpose) {
    case 'ownership':
      return RecordPurpose.RECORD_PURPOSE_OWNERSHIP;
    case 'dkim':
      return RecordPurpose.RECORD_PURPOSE_DKIM;
    case 'spf':
      return RecordPurpose.RECORD_PURPOSE_SPF;
    case 'dmarc':
      return RecordPurpose.RECORD_PURPOSE_DMARC;
  }
}
