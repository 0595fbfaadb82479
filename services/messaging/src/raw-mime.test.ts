import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRawMime } from './raw-mime.ts';

const id = 'msg_01kg97xw00fscrrszmz39ef7mp';
const from = { email: 'ada@shop.example', name: '' };
const date = new Date('2026-01-31T08:00:00Z');
const completed = (text: string) => completeRawMime({ id, from, rawMime: Buffer.from(text, 'latin1') }, date).toString('latin1');

test('what has everything keeps every byte', () => {
  const text =
    'Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom:  ada@shop.example\r\nX-Odd :\t a\r\n  b \r\nMessage-Id: <a@b>\r\n\r\n.dot\r\nBcc: in the body\r\n\xe9\xff\r\n' +
    'x'.repeat(2000);
  assert.equal(completed(text), text);
});

test('Message-ID and Date are put in front where they are missing', () => {
  const text = 'From: ada@shop.example\r\n\r\nHello\r\n';
  assert.equal(completed(text), `Message-ID: <${id}@shop.example>\r\nDate: Sat, 31 Jan 2026 08:00:00 +0000\r\n${text}`);
  assert.equal(completed('Date: x\r\n\r\n'), `Message-ID: <${id}@shop.example>\r\nDate: x\r\n\r\n`);
});

test('a Message-ID and a Date without a value are missing; other fields without one stay', () => {
  const text = 'message-id:\r\nFrom: ada@shop.example\r\nDate : \t\r\n \r\nX-Odd:\r\n';
  assert.equal(
    completed(`${text}\r\nHello\r\n`),
    `Message-ID: <${id}@shop.example>\r\nDate: Sat, 31 Jan 2026 08:00:00 +0000\r\nFrom: ada@shop.example\r\nX-Odd:\r\n\r\nHello\r\n`,
  );
});

test('blind copies and fields that are for us are taken out, folded lines and all', () => {
  const text =
    'Message-ID: <a@b>\r\nBCC: secret@example.com,\r\n\tother@example.com\r\nDate: x\r\nX-Tags: a\r\nX-Metadata-Order: 1\r\nX-Idempotency-Key: k\r\nX-Tagsy: stays\r\nbcc : z\r\n\r\nBcc: body\r\n';
  assert.equal(completed(text), 'Message-ID: <a@b>\r\nDate: x\r\nX-Tagsy: stays\r\n\r\nBcc: body\r\n');
});

test('a message without a body, and one without a last line break', () => {
  assert.equal(completed('Message-ID: <a@b>\r\nDate: x\r\nBcc: y'), 'Message-ID: <a@b>\r\nDate: x\r\n');
});
