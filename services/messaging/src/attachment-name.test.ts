import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { dispositionOf } from './attachment-name.ts';

/** As RFC 2231 has it be read. */
function nameIn(disposition: string): string {
  const sections = [...disposition.matchAll(/;\r\n filename\*(?:(\d+)\*)?=([^;]*)/g)];
  assert.ok(sections.every(([, index], at) => (index === undefined ? sections.length === 1 : Number(index) === at)));
  const text = sections.map(([, , section]) => section).join('');
  assert.ok(text.startsWith("utf-8''"));
  return decodeURIComponent(text.slice("utf-8''".length));
}

describe('the name of an attachment', () => {
  it('is the composer’s matter when it is plain', () => {
    for (const name of ['a.pdf', 'My report (2).pdf', 'x'.repeat(74)]) assert.equal(dispositionOf('attachment', name), undefined);
  });

  it('is percent-encoded when it is odd', () => {
    assert.equal(dispositionOf('attachment', "it's.pdf"), "attachment;\r\n filename*=utf-8''it%27s.pdf");
    assert.equal(dispositionOf('inline', '""'), "inline;\r\n filename*=utf-8''%22%22");
    assert.equal(dispositionOf('inline', '*'), "inline;\r\n filename*=utf-8''%2A");
  });

  it('is cut between characters when it is long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), (name) => {
        const wellFormed = name.toWellFormed();
        const value = dispositionOf('attachment', wellFormed);
        if (value === undefined) return;
        assert.equal(nameIn(value), wellFormed);
        for (const line of value.split('\r\n')) {
          assert.ok(line.length <= 76, line);
          assert.match(line, /^[\x20-\x7e]+$/);
        }
        for (const [, section] of value.matchAll(/=(?:utf-8'')?([^;]*)/g)) decodeURIComponent(section!);
      }),
      { numRuns: 1000 },
    );
  });
});
