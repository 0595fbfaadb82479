// The DNS records that a customer publishes for a sending domain. They follow from the claim and the settings and are stored nowhere;
// stored is only what was seen of each.

import { randomBytes } from 'node:crypto';
import { RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import { dkimRecordValue } from './dkim-record.ts';
import { dmarcRecordValue } from './dmarc-record.ts';
import { spfRecordValue } from './spf-record.ts';

/** Where this installation takes and sends mail. */
export interface Hosts {
  /** Its addresses send. */
  mailHostname: string;
  /** Takes what comes back to MAIL FROM addresses. */
  returnPathHost: string;
  /** Takes the links of tracked messages. */
  trackingHost: string;
  /** Takes mail to customers’ domains. */
  mxHost: string;
}

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
  /** What this selector published before it got this key; null = it never had another. */
  formerPublicKey: string | null;
}

/** Names a record within its domain, for as long as the domain exists: `ownership`, `dkim:md1`, `spf`, `dmarc`, `return_path`. */
export type Slot = string;

interface Published {
  slot: Slot;
  type: 'TXT' | 'CNAME' | 'MX';
  /** Fully qualified, without the final dot. */
  name: string;
  /** As one string; whoever publishes it splits it at 255 bytes. */
  value: string;
  /** A domain is verified when all of these are. */
  required: boolean;
}

/** A record with what is needed to judge an answer by it. */
export type ExpectedRecord = Published &
  (
    | { purpose: 'ownership' }
    | { purpose: 'dkim'; publicKey: string; formerPublicKey: string | null }
    | { purpose: 'spf'; mailHostname: string }
    | { purpose: 'dmarc' }
    | { purpose: 'return_path' | 'tracking' | 'mx'; host: string }
  );

/** Ours alone below the customer's domain, so that nothing of theirs is in the way of a CNAME (RFC 1034 section 3.6.2). */
export function returnPathName(domain: string): string {
  return `md-bounces.${domain}`;
}

export function trackingName(domain: string): string {
  return `md-links.${domain}`;
}

/** In the order in which they are shown. */
export function recordsToPublish(claim: Claim, { mailHostname, returnPathHost, trackingHost, mxHost }: Hosts): ExpectedRecord[] {
  const at = (name: string, value: string) => ({ type: 'TXT' as const, name, value });
  const selectors = [...claim.keys].sort((left, right) => (left.selector < right.selector ? -1 : 1));
  return [
    { slot: 'ownership', purpose: 'ownership', required: true, ...at(`_maildoot.${claim.name}`, ownershipValue(claim.ownershipToken)) },
    ...selectors.map(({ selector, active, publicKey, formerPublicKey }) => ({
      slot: `dkim:${selector}`,
      purpose: 'dkim' as const,
      publicKey,
      formerPublicKey,
      // The other selector is published ahead for the day when the keys change places.
      required: active,
      ...at(`${selector}._domainkey.${claim.name}`, dkimRecordValue(publicKey)),
    })),
    { slot: 'spf', purpose: 'spf', mailHostname, required: false, ...at(claim.name, spfRecordValue(mailHostname)) },
    { slot: 'dmarc', purpose: 'dmarc', required: false, ...at(`_dmarc.${claim.name}`, dmarcRecordValue) },
    alias('return_path', returnPathName(claim.name), returnPathHost),
    alias('tracking', trackingName(claim.name), trackingHost),
    {
      slot: 'mx',
      purpose: 'mx',
      type: 'MX',
      name: claim.name,
      value: `10 ${mxHost}`,
      host: mxHost,
      required: false,
    },
  ];
}

function alias(purpose: 'return_path' | 'tracking', name: string, host: string): ExpectedRecord {
  return { slot: purpose, purpose, type: 'CNAME', name, value: host, host, required: false };
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
    case 'return_path':
      return RecordPurpose.RECORD_PURPOSE_RETURN_PATH;
    case 'tracking':
      return RecordPurpose.RECORD_PURPOSE_TRACKING;
    case 'mx':
      return RecordPurpose.RECORD_PURPOSE_MX;
  }
}
