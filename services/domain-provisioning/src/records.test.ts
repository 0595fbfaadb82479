// What we ask to publish.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newOwnershipToken, recordsToPublish } from './records.ts';

test('five records, in the order in which they are shown', () => {
  const claim = {
    name: 'example.com',
    ownershipToken: 'tok',
    keys: [
      { selector: 'md2', active: false, publicKey: 'K2' },
      { selector: 'md1', active: true, publicKey: 'K1' },
    ],
  };
  assert.deepEqual(
    recordsToPublish(claim, 'mail.maildoot.test').map(({ slot, name, value, required }) => [slot, name, value, required]),
    [
      ['ownership', '_maildoot.example.com', 'maildoot-verification=tok', true],
      ['dkim:md1', 'md1._domainkey.example.com', 'v=DKIM1; k=rsa; p=K1', true],
      ['dkim:md2', 'md2._domainkey.example.com', 'v=DKIM1; k=rsa; p=K2', false],
      ['spf', 'example.com', 'v=spf1 a:mail.maildoot.test ~all', false],
      ['dmarc', '_dmarc.example.com', 'v=DMARC1; p=none', false],
    ],
  );
});

test('a token is 128 bits and new each time', () => {
  assert.match(newOwnershipToken(), /^[0-9a-f]{32}$/);
  assert.notEqual(newOwnershipToken(), newOwnershipToken());
});
