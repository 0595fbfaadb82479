import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WireForm } from './wire-form.ts';

describe('WireForm', () => {
  const cases: [string, string, string][] = [
    ['a\r\nb\r\n', 'a\r\nb\r\n.\r\n', 'what is right stays'],
    ['.a\r\n..\r\n', '..a\r\n...\r\n.\r\n', 'a dot at the beginning of a line is doubled'],
    ['a.b\r\n', 'a.b\r\n.\r\n', 'another one is not'],
    ['a', 'a\r\n.\r\n', 'the last line is ended'],
    ['', '.\r\n', 'an empty message'],
    ['a\r', 'a\r\n.\r\n', 'a CR at the end is half a line end'],
    ['a\n.b', 'a\r\n..b\r\n.\r\n', 'LF alone: a smuggled line'],
    ['a\r.\rb', 'a\r\n..\r\nb\r\n.\r\n', 'CR alone: a smuggled end'],
  ];
  for (const [message, wire, why] of cases) it(why, () => assert.equal(onWire([message]), wire));

  it('is the same however the message is cut', () => {
    const alphabet = ['a', '.', '\r', '\n', '\r\n'];
    for (let time = 0; time < 5_000; time++) {
      const message = Array.from({ length: Math.floor(Math.random() * 12) }, () => alphabet[Math.floor(Math.random() * 5)]).join('');
      const cut = Math.floor(Math.random() * (message.length + 1));
      const expected = plainly(message);
      assert.equal(onWire([message]), expected, JSON.stringify(message));
      assert.equal(onWire([message.slice(0, cut), message.slice(cut)]), expected, JSON.stringify([message, cut]));
    }
  });
});

function onWire(pieces: string[]): string {
  const wire = new WireForm();
  return Buffer.concat([...pieces.map((piece) => wire.of(Buffer.from(piece))), wire.end()]).toString();
}

function plainly(message: string): string {
  const lines = message
    .replace(/\r\n|\r|\n/g, '\n')
    .replace(/^\./gm, '..')
    .replaceAll('\n', '\r\n');
  return `${lines === '' || lines.endsWith('\r\n') ? lines : `${lines}\r\n`}.\r\n`;
}
