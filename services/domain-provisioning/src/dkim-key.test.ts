// A generated pair fits together and is what verifiers take.

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { generateDkimKeyPair } from './dkim-key.ts';

test('RSA-2048; what one half signs the other verifies; both in the encodings that DNS and the signer want', async () => {
  const pair = await generateDkimKeyPair();
  const publicKey = createPublicKey({ key: Buffer.from(pair.publicKey, 'base64'), type: 'spki', format: 'der' });
  const privateKey = createPrivateKey({ key: pair.privateKey, type: 'pkcs8', format: 'der' });
  assert.equal(publicKey.asymmetricKeyType, 'rsa');
  assert.equal(publicKey.asymmetricKeyDetails?.modulusLength, 2048);
  assert.ok(verify('sha256', Buffer.from('x'), publicKey, sign('sha256', Buffer.from('x'), privateKey)));
});
