import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  fillMarks,
  type LinkKey,
  linkKeys,
  linkMark,
  linkToken,
  readClickToken,
  readLinkToken,
  signTarget,
  tokenChars,
  tokensFor,
} from './tracking-token.ts';

const messageId = '0192f7a0-1c2d-7abc-8def-0123456789ab';
const key: LinkKey = { id: 'one', key: randomBytes(32) };
const other: LinkKey = { id: 'two', key: randomBytes(32) };
const holder = { messageId, recipientNumber: 65_535 };

describe('a token', () => {
  it('says whose link it is, to who has the key', () => {
    const token = linkToken(key, 'open', holder);
    assert.equal(token.length, tokenChars);
    assert.deepEqual(readLinkToken([other, key], 'open', token), holder);
    assert.equal(readLinkToken([other], 'open', token), undefined);
  });

  it('of one purpose is none of another', () => {
    assert.equal(readLinkToken([key], 'unsubscribe', linkToken(key, 'open', holder)), undefined);
  });

  it('is none when any character is changed, or its end is', () => {
    const token = linkToken(key, 'unsubscribe', holder);
    for (let at = 0; at < token.length; at++) {
      const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
      assert.equal(readLinkToken([key], 'unsubscribe', changed), undefined, `character ${at}`);
    }
    for (const wrong of ['', token.slice(1), `${token}A`, `${token.slice(0, -1)}=`, '../../etc/passwd']) {
      assert.equal(readLinkToken([key], 'unsubscribe', wrong), undefined, wrong);
    }
  });
});

describe('a click', () => {
  const url = 'https://shop.example/a?b=1&c=ü#d';
  const token = `${linkToken(key, 'click', holder)}${signTarget(key, url)}`;

  it('has its target inside', () => {
    assert.deepEqual(readClickToken([key], token), { holder, url });
  });

  it('leads nowhere that nobody signed', () => {
    const elsewhere = Buffer.from('https://evil.example/').toString('base64url');
    const forged = [
      `${linkToken(key, 'click', holder)}${signTarget(other, 'https://evil.example/')}`,
      `${linkToken(other, 'click', holder)}${signTarget(key, url)}`,
      `${linkToken(key, 'open', holder)}${signTarget(key, url)}`,
      `${token.slice(0, tokenChars + 14)}${elsewhere}`,
      `${token.slice(0, tokenChars)}${elsewhere}`,
      token.slice(0, tokenChars),
      `${token}A`,
    ];
    for (const one of forged) assert.equal(readClickToken([key], one), undefined, one);
  });
});

describe('marks', () => {
  it('are replaced wherever they stand, also where an encoder broke them', () => {
    const mark = linkMark('open', messageId);
    const token = linkToken(key, 'open', holder);
    for (let at = 1; at < mark.length; at++) {
      const broken = `<a href=3D"${mark.slice(0, at)}=\r\n${mark.slice(at)}">\r\n${mark}`;
      assert.equal(
        fillMarks(Buffer.from(broken), tokensFor(key, holder)).toString(),
        `<a href=3D"${token.slice(0, at)}=\r\n${token.slice(at)}">\r\n${token}`,
      );
    }
  });

  it('leave every other byte, and the original, alone', () => {
    const bytes = Buffer.concat([randomBytes(1000), Buffer.from(linkMark('click', messageId)), randomBytes(1000)]);
    const before = Buffer.from(bytes);
    const filled = fillMarks(bytes, tokensFor(key, holder));
    assert.deepEqual(bytes, before);
    assert.deepEqual(filled.subarray(0, 1000), before.subarray(0, 1000));
    assert.deepEqual(filled.subarray(1038), before.subarray(1038));
    assert.equal(filled.toString('latin1', 1000, 1038), linkToken(key, 'click', holder));
  });

  it('of another message stay', () => {
    const bytes = Buffer.from(linkMark('open', '0192f7a0-1c2d-7abc-8def-0123456789ac'));
    assert.deepEqual(fillMarks(bytes, tokensFor(key, holder)), bytes);
  });
});

describe('keys', () => {
  it('come from the shared secret where none is configured, the same everywhere', () => {
    const [made] = linkKeys(undefined, 'a secret');
    assert.deepEqual(made, linkKeys([], 'a secret')[0]);
    assert.notDeepEqual(made.key, linkKeys(undefined, 'another')[0].key);
    assert.deepEqual(linkKeys([other, key], 'a secret'), [other, key]);
  });
});
