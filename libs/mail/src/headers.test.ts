// Headers: what a caller may set, folding and unfolding, and reading a raw block.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  foldHeader,
  type HeaderProblem,
  headerProblem,
  maxLineChars,
  parseHeaderBlock,
  refusedHeaders,
  trimBlanks,
  unfold,
} from './headers.ts';

test('ordinary extra headers may be set', () => {
  for (const [name, value] of [
    ['X-Entity-Ref-ID', '123'],
    ['List-Unsubscribe', '<https://example.com/u?x=1>, <mailto:u@example.com>'],
    ['References', '<a@example.com>\t<b@example.com>'],
    ['X-Empty', ''],
    ['X-Name', 'Zoë 👩‍💻'],
    ['Auto-Submitted', 'auto-generated'],
  ] as const) {
    assert.equal(headerProblem(name, value), undefined, name);
  }
});

test('refuses names and values that would break or forge a message', () => {
  const table: [string, string, HeaderProblem][] = [
    ['', 'x', 'name_syntax'],
    ['X A', 'x', 'name_syntax'],
    ['X:A', 'x', 'name_syntax'],
    ['X-Ü', 'x', 'name_syntax'],
    ['X-A\r\nBcc', 'x', 'name_syntax'],
    ['X'.repeat(77), 'x', 'name_too_long'],
    ['From', 'x', 'reserved'],
    ['FROM', 'x', 'reserved'],
    ['Bcc', 'x', 'reserved'],
    ['Sender', 'x', 'reserved'],
    ['Message-ID', 'x', 'reserved'],
    ['Content-Type', 'x', 'reserved'],
    ['content-anything', 'x', 'reserved'],
    ['Resent-From', 'x', 'reserved'],
    ['DKIM-Signature', 'x', 'reserved'],
    ['ARC-Seal', 'x', 'reserved'],
    ['Return-Path', 'x', 'reserved'],
    ['X-A', 'a\r\nBcc: b@example.com', 'control_character'],
    ['X-A', 'a\nb', 'control_character'],
    ['X-A', 'a\rb', 'control_character'],
    ['X-A', 'a\0b', 'control_character'],
    ['X-A', 'a\u0085b', 'control_character'],
    ['X-A', 'a\u2028b', 'control_character'],
    ['X-A', 'a\ud800b', 'control_character'],
    ['X-A', 'é'.repeat(4097), 'value_too_long'],
    ['X-A', `a ${'b'.repeat(998)}`, 'unbreakable'],
    ['X-A', 'b'.repeat(997), 'unbreakable'],
  ];
  for (const [name, value, expected] of table)
    assert.equal(headerProblem(name, value)?.problem, expected, JSON.stringify([name, value.slice(0, 20)]));
});

test('all problems are reported, with their place; names that may stand once are counted without case', () => {
  const refused = refusedHeaders([
    { name: 'X-A', value: '1' },
    { name: 'X-A', value: '2' },
    { name: 'References', value: '<a@b>' },
    { name: 'references', value: '<c@d>' },
    { name: 'To', value: 'x' },
  ]);
  assert.deepEqual(
    refused.map(({ index, problem }) => [index, problem]),
    [
      [3, 'duplicate'],
      [4, 'reserved'],
    ],
  );
});

const asciiValue = fc.string({ unit: fc.constantFrom(' ', '\t', 'a', 'b', '<', '>', ',', 'long-word-of-some-size'), maxLength: 400 });

test('folding keeps the value, the line limit, and no line of white space only', () => {
  fc.assert(
    fc.property(asciiValue, (value) => {
      const folded = foldHeader('X-Header', value);
      assert.equal(unfold(folded), `X-Header: ${value}`);
      const lines = folded.split('\r\n');
      for (const line of lines) assert.match(line, /[^ \t]/);
      if (headerProblem('X-Header', value) === undefined) for (const line of lines) assert.ok(line.trimEnd().length <= maxLineChars);
      const block = parseHeaderBlock(Buffer.from(`${folded}\r\nX-Next: 1\r\n\r\nbody`));
      assert.deepEqual(
        block.fields.map((field) => [field.name, field.value]),
        [
          ['X-Header', trimBlanks(value)],
          ['X-Next', '1'],
        ],
      );
    }),
    { numRuns: 1000 },
  );
});

test('folds at 76 characters', () => {
  const folded = foldHeader('References', Array.from({ length: 6 }, (_, at) => `<message-${at}@mail.example.com>`).join(' '));
  for (const line of folded.split('\r\n')) assert.ok(line.length <= 76);
  assert.equal(folded.split('\r\n').length, 3);
});

test('reads a raw block', () => {
  const block = parseHeaderBlock(
    Buffer.from('From u@h Mon\r\nSubject : a\r\n  b\r\nX-8: \xc3\xa0\r\nX-Empty:\r\n\r\nBody: no\r\n', 'latin1'),
  );
  assert.deepEqual(block, {
    fields: [
      { name: 'Subject', value: 'a  b', raw: 'Subject : a\r\n  b' },
      { name: 'X-8', value: '\xc3\xa0', raw: 'X-8: \xc3\xa0' }, // its last byte is no white space
      { name: 'X-Empty', value: '', raw: 'X-Empty:' },
    ],
    bodyOffset: 53,
    malformedLines: 1,
  });
});

test('finds the body in every shape of message', () => {
  const table: [string, number, number][] = [
    ['', 0, 0],
    ['A: b', 1, 4],
    ['A: b\r\n', 1, 6],
    ['A: b\r\n\r\n', 1, 8],
    ['A: b\n\nx', 1, 6],
    ['\r\nbody', 0, 2],
    [' continues nothing\r\nA: b\r\n\r\nx', 1, 28],
  ];
  for (const [text, fields, bodyOffset] of table) {
    const block = parseHeaderBlock(Buffer.from(text));
    assert.deepEqual([block.fields.length, block.bodyOffset], [fields, bodyOffset], JSON.stringify(text));
  }
});

test('any bytes are read without an exception, and the fields are in the input', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const block = parseHeaderBlock(Buffer.from(bytes));
      assert.ok(block.bodyOffset <= bytes.length);
      for (const field of block.fields) assert.ok(field.raw.startsWith(field.name));
    }),
  );
});
