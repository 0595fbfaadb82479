// One copy per address, numbered in the order To, Cc, Bcc.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RecipientKind } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { envelopeRecipients } from './recipients.ts';

const address = (email: string, name = '') => ({ email, name });

it('numbers To, Cc, Bcc in order and takes each address once, where it stands first', () => {
  const recipients = envelopeRecipients({
    to: [address('a@x.example', 'A'), address('b@x.example')],
    cc: [address('a@x.example'), address('A@x.example')],
    bcc: [address('c@x.example'), address('b@x.example')],
  });
  assert.deepEqual(
    recipients.map(({ number, kind, email }) => [number, kind, email]),
    [
      [0, RecipientKind.RECIPIENT_KIND_TO, 'a@x.example'],
      [1, RecipientKind.RECIPIENT_KIND_TO, 'b@x.example'],
      // Another mailbox, as far as anybody but its server knows (RFC 5321 section 2.4).
      [2, RecipientKind.RECIPIENT_KIND_CC, 'A@x.example'],
      [3, RecipientKind.RECIPIENT_KIND_BCC, 'c@x.example'],
    ],
  );
  assert.equal(recipients[0]?.name, 'A');
});
