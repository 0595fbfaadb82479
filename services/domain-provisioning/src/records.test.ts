// What we ask to publish.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newOwnershipToken, recordsToPublish } from './records.ts';

const hosts = {
  mailHostname: 'mail.maildoot.test',
  returnPathHost: 'bounces.maildoot.test',
  trackingHost: 'links.maildoot.test',
  mxHost: 'mx.maildoot.test',
};

test('eight records, in the order in which they are shown', () => {
  const claim = {
    name: 'example.com',
    ownershipToken: 'tok',
    keys: [
      { selector: 'md2', active: false, publicKey: 'K2', formerPublicKey: null },
      { selector: 'md1', active: true, publicKey: 'K1', formerPublicKey: null },
    ],
  };
  assert.deepEqual(
    recordsToPublish(claim, hosts).map(({ slot, type, name, value, required }) => [slot, type, name, value, required]),
    [
      ['ownership', 'TXT', '_maildoot.example.com', 'maildoot-verification=tok', true],
      ['dkim:md1', 'TXT', 'md1._domainkey.example.com', 'v=DKIM1; k=rsa; p=K1', true],
      ['dkim:md2', 'TXT', 'md2._domainkey.example.com', 'v=DKIM1; k=rsa; p=K2', false],
      ['spf', 'TXT', 'example.com', 'v=spf1 a:mail.maildoot.test ~all', false],
      ['dmarc', 'TXT', '_dmarc.example.com', 'v=DMARC1; p=none', false],
      ['return_path', 'CNAME', 'md-bounces.example.com', 'bounces.maildoot.test', false],
      ['tracking', 'CNAME', 'md-links.example.com', 'links.maildoot.test', false],
      ['mx', 'MX', 'example.com', '10 mx.maildoot.test', false],
    ],
  );
});

test('a token is 128 bits and new each time', () => {
  assert.match(newOwnershipToken(), /^[0-9a-f]{32}$/);
  assert.notEqual(newOwnershipToken(), newOwnershipToken());
});
