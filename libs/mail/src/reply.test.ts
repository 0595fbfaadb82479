// SMTP replies: parts of the good ones, and a named problem for the others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { diagnosticOf, maxReplyChars, parseReply, type ReplyProblem, severityOf } from './reply.ts';

function reply(text: string) {
  const result = parseReply(text);
  assert.ok(result.ok, JSON.stringify(text));
  return result.reply;
}

test('reads replies of one and many lines', () => {
  assert.deepEqual(reply('550 5.1.1 user unknown\r\n'), {
    code: 550,
    severity: 'permanent',
    enhancedCode: '5.1.1',
    lines: ['user unknown'],
    verbatim: '550 5.1.1 user unknown',
  });
  assert.deepEqual(reply('550-5.1.1 The account\r\n550-5.1.1 does not exist.\r\n550 5.1.1 gsmtp'), {
    code: 550,
    severity: 'permanent',
    enhancedCode: '5.1.1',
    lines: ['The account', 'does not exist.', 'gsmtp'],
    verbatim: '550-5.1.1 The account\n550-5.1.1 does not exist.\n550 5.1.1 gsmtp',
  });
  const table: [string, number, string | undefined, string[]][] = [
    ['250', 250, undefined, ['']],
    ['250 ', 250, undefined, ['']],
    ['250 OK', 250, undefined, ['OK']],
    ['250 2.0.0', 250, '2.0.0', ['']],
    ['354 go', 354, undefined, ['go']],
    ['250-mx.example.com\n250-PIPELINING\n250 SIZE 1000', 250, undefined, ['mx.example.com', 'PIPELINING', 'SIZE 1000']],
    ['220-one\r\n220-\r\n220 three', 220, undefined, ['one', '', 'three']],
    ['550 4.7.1 contradiction', 550, '4.7.1', ['contradiction']],
    ['550-4.7.1 first\r\n550 5.7.1 second', 550, '5.7.1', ['first', 'second']],
    ['550 5.1.1.1 not an enhanced code', 550, undefined, ['5.1.1.1 not an enhanced code']],
    ['550 3.1.1 not an enhanced code', 550, undefined, ['3.1.1 not an enhanced code']],
    ['550 5.1.1234 not an enhanced code', 550, undefined, ['5.1.1234 not an enhanced code']],
    ['451 4.7.1 Greylisted, see http://x.example/', 451, '4.7.1', ['Greylisted, see http://x.example/']],
  ];
  for (const [text, code, enhancedCode, lines] of table) {
    const { code: foundCode, enhancedCode: foundEnhanced, lines: foundLines } = reply(text);
    assert.deepEqual([foundCode, foundEnhanced, foundLines], [code, enhancedCode, lines], text);
  }
});

test('names what is wrong with others', () => {
  const table: [string, ReplyProblem][] = [
    ['', 'empty'],
    ['\r\n', 'empty'],
    ['hello', 'no_code'],
    ['25', 'no_code'],
    ['2500 too long', 'no_code'],
    ['HTTP/1.1 400 Bad Request', 'no_code'],
    ['250-a\r\n\r\n250 b', 'no_code'],
    ['150 no', 'code_out_of_range'],
    ['600 no', 'code_out_of_range'],
    ['000 no', 'code_out_of_range'],
    ['250ok', 'separator'],
    ['250_ok', 'separator'],
    ['250-a\r\n550 b', 'mixed_codes'],
    ['250 a\r\n250 b', 'mixed_codes'],
    ['250-a', 'unfinished'],
  ];
  for (const [text, problem] of table) {
    const result = parseReply(text);
    assert.equal(result.ok ? 'ok' : result.problem, problem, JSON.stringify(text));
  }
});

test('what a hostile server says is harmless and bounded', () => {
  const hostile = reply('550 5.1.1 \u001b[2Jno\0 such\ruser\u2028\ttab');
  assert.equal(hostile.verbatim, '550 5.1.1 \ufffd[2Jno\ufffd such\ufffduser\ufffd tab');
  const long = reply(`${'550-5.7.1 spam spam spam\r\n'.repeat(5000)}550 5.7.1 end`);
  assert.equal(long.code, 550);
  assert.ok(long.verbatim.length <= maxReplyChars);
  const oneLine = reply(`550 ${'x'.repeat(1e6)}`);
  assert.ok(oneLine.verbatim.length <= maxReplyChars);
});

test('any text is answered, without controls but line feeds', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('2', '5', '0', '-', ' ', '.', '\r', '\n', 'a') })),
      (text) => {
        const result = parseReply(text);
        const { verbatim } = result.ok ? result.reply : result;
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
        assert.doesNotMatch(verbatim, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
        assert.ok(verbatim.isWellFormed());
        if (result.ok) assert.ok(result.reply.code >= 200 && result.reply.code <= 599);
      },
    ),
    { numRuns: 400 },
  );
});

test('what was written as a reply is read back', () => {
  const words = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '.', ',', 'ü'), maxLength: 20 });
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      fc.array(words, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('\n', '\r\n'),
      (code, lines, end) => {
        const text = lines.map((line, at) => `${code}${at === lines.length - 1 ? ' ' : '-'}${line}`).join(end);
        const found = reply(text);
        assert.deepEqual([found.code, found.lines, found.severity], [code, lines, severityOf(code)]);
      },
    ),
  );
});

test('diagnosticOf is one line in the form of RFC 3464', () => {
  assert.equal(diagnosticOf(reply('550-5.1.1 user\r\n550 5.1.1 unknown')), 'smtp; 550 5.1.1 user unknown');
  assert.equal(diagnosticOf(reply('421')), 'smtp; 421');
});
