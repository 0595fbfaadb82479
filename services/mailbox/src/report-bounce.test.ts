// What a report's code and words mean, with the reason per row.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';
import { bounceOf } from './report-bounce.ts';

const { BOUNCE_TYPE_PERMANENT: permanent, BOUNCE_TYPE_TRANSIENT: transient, BOUNCE_TYPE_UNDETERMINED: undetermined } = BounceType;

for (const [status, words, type, bounceClass, because] of [
  ['5.1.1', 'smtp; 550 5.1.1 user unknown', permanent, BounceClass.BOUNCE_CLASS_RECIPIENT, 'there is no such mailbox'],
  ['5.2.2', 'quota', permanent, BounceClass.BOUNCE_CLASS_MAILBOX_FULL, 'the mailbox is there'],
  ['4.2.2', 'quota', transient, BounceClass.BOUNCE_CLASS_MAILBOX_FULL, 'given up, but not for good'],
  ['5.1.2', '', permanent, BounceClass.BOUNCE_CLASS_DNS, 'the domain, not the mailbox'],
  ['5.1.10', 'Domain has null MX', permanent, BounceClass.BOUNCE_CLASS_DNS, 'a null MX, by the registry'],
  ['5.1.10', 'RESOLVER.ADR.RecipientNotFound', permanent, BounceClass.BOUNCE_CLASS_RECIPIENT, 'how Microsoft says that nobody is there'],
  ['4.4.7', 'expired', transient, BounceClass.BOUNCE_CLASS_NETWORK, 'nobody was reached'],
  ['5.4.1', 'Recipient address rejected: Access denied', permanent, BounceClass.BOUNCE_CLASS_RECIPIENT, 'how Microsoft says it'],
  ['5.7.1', 'rejected', permanent, BounceClass.BOUNCE_CLASS_POLICY, 'a rule of theirs'],
  ['5.7.1', 'listed at Spamhaus', permanent, BounceClass.BOUNCE_CLASS_REPUTATION, 'what they think of us'],
  ['5.7.1', 'user unknown', permanent, BounceClass.BOUNCE_CLASS_POLICY, 'the code rules over the words'],
  ['5.6.0', '', permanent, BounceClass.BOUNCE_CLASS_CONTENT, 'the content'],
  ['5.6.9', '', permanent, BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS, 'the addresses in the header'],
  ['5.2.3', '', permanent, BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE, 'the size'],
  ['5.0.0', 'smtp; 550 User unknown', permanent, BounceClass.BOUNCE_CLASS_RECIPIENT, 'the code says nothing, the words do'],
  ['5.0.0', 'sorry', permanent, BounceClass.BOUNCE_CLASS_OTHER, 'in doubt nobody’s mailbox is missing'],
  [undefined, 'user unknown', undetermined, BounceClass.BOUNCE_CLASS_RECIPIENT, 'words alone are not for good'],
] as const) {
  test(`${status ?? 'no code'}, “${words}”: ${because}`, () => {
    const bounce = bounceOf({ status, diagnostic: words });
    assert.deepEqual([bounce.type, bounce.class], [type, bounceClass]);
    assert.notEqual(bounce.diagnostic, '');
  });
}
