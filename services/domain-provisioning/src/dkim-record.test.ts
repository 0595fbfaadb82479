// Which spellings of the key record count, and which differences matter.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dkimRecordProblem, dkimRecordValue, isDkimRecord } from './dkim-record.ts';

const key = 'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA';

for (const [value, because] of [
  [dkimRecordValue(key), 'as we ask for it'],
  [`v=DKIM1;k=rsa;p=${key}`, 'no white space'],
  [`p=${key}; k=rsa; v=DKIM1;`, 'another order, a last semicolon'],
  [`v=DKIM1; p=${key}`, 'k= is rsa when absent'],
  [`p=${key}`, 'v= may be left out'],
  [
    `v=DKIM1; k=RSA; t=y:s; n=note; h=sha1:sha256; s=email; p=${key.slice(0, 20)} ${key.slice(20)}`,
    'white space inside the key, further tags',
  ],
] as const) {
  test(`counts: ${because}`, () => {
    assert.equal(dkimRecordProblem(value, key), undefined);
    assert.ok(isDkimRecord(value));
  });
}

for (const [value, problem, because] of [
  [`v=DKIM1; k=rsa; p=${key.slice(0, -1)}B`, /another/, 'one character of the key'],
  [`v=DKIM1; k=rsa; p=${key.toLowerCase()}`, /another/, 'base64 tells cases apart'],
  [`v=DKIM1; k=rsa; p=${key}AA`, /another/, 'a longer key'],
  [`v=DKIM1; k=rsa; p=${key.slice(0, 30)}`, /cut off/, 'the first chunk only'],
  ['v=DKIM1; k=rsa; p=', /revoked/, 'RFC 6376: an empty key is a revoked one'],
  ['v=DKIM1; k=rsa', /missing/, 'no key'],
  [`v=DKIM2; p=${key}`, /DKIM1/, 'another version'],
  [`v=DKIM1; k=ed25519; p=${key}`, /rsa/, 'another kind of key'],
  [`v=DKIM1; h=sha1; p=${key}`, /sha256/, 'a hash that we do not use'],
  [`v=DKIM1; s=tlsrpt; p=${key}`, /mail/, 'for another service'],
  [`v=DKIM1; p=${key}; p=${key}`, /not a DKIM/, 'a tag twice'],
  ['v=spf1 -all', /v=/, 'another record'],
] as const) {
  test(`doesn't count: ${because}`, () => assert.match(dkimRecordProblem(value, key) ?? '', problem));
}

test('another kind of TXT at the name is told from a key record', () => {
  assert.ok(!isDkimRecord('v=spf1 include:_spf.example.com ~all'));
  assert.ok(!isDkimRecord('google-site-verification=abc'));
  assert.ok(isDkimRecord('v=DKIM1; k=rsa; p='));
});
