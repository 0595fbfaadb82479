// What stands for what in the answers that pages show.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonDiffers, textDiffers } from './shown.ts';

const json: [why: string, shown: string, came: string, problem: RegExp | undefined][] = [
  ['the same, in another order and with other space', '{ "a": 1, "b": [true, null] }', '{"b":[true,null],"a":1}', undefined],
  ['another value', '{ "a": { "b": "x" } }', '{"a":{"b":"y"}}', /^\.a\.b is "y", not "x"/],
  ['another type', '{ "a": "1" }', '{"a":1}', /^\.a is 1/],
  ['a member that did not come', '{ "a": 1, "b": 2 }', '{"a":1}', /^\.b is missing/],
  ['a member that is not shown', '{ "a": 1 }', '{"a":1,"b":2}', /^\.b came/],
  ['others may come', '{ "a": 1, … }', '{"a":1,"b":2}', undefined],
  ['a part of a string', '{ "id": "msg_…" }', '{"id":"msg_01"}', undefined],
  ['another beginning', '{ "id": "msg_…" }', '{"id":"tpl_01"}', /^\.id is/],
  ['what a pattern would read otherwise', '"a.c(…)"', '"abc(1)"', /is "abc\(1\)"/],
  ['any value', '{ "a": … }', '{"a":[1]}', undefined],
  ['any value, but one', '{ "a": … }', '{}', /^\.a is missing/],
  ['items around', '[…, { "t": 2 }, …]', '[{"t":1},{"t":2},{"t":3}]', undefined],
  ['an item that is nowhere', '[…, { "t": 4 }, …]', '[{"t":1},{"t":2}]', /is/],
  ['too many items', '[1]', '[1,2]', /1 more/],
  ['too few items', '[1, 2]', '[1]', /fewer/],
  ['no JSON', '{}', 'curl: (7) failed', /not JSON/],
];
for (const [why, shown, came, problem] of json) {
  test(`JSON: ${why}`, () => {
    const found = jsonDiffers(shown, came);
    if (problem === undefined) assert.equal(found, undefined);
    else assert.match(found ?? 'nothing', problem);
  });
}

test('a page that shows no JSON is told', () => {
  assert.throws(() => jsonDiffers('{ "a" 1 }', '{}'), SyntaxError);
  assert.throws(() => jsonDiffers('{} {}', '{}'), SyntaxError);
});

const text: [why: string, shown: string, came: string, fits: boolean][] = [
  ['the same', 'a\nb\n', 'a\nb\n', true],
  ['an end of line as on the wire', 'a\nb', 'a\r\nb\r\n', true],
  ['a part of a line', 'queued as msg_…', 'queued as msg_01\n', true],
  ['a part is not many lines', 'a…c', 'a\nc\n', false],
  ['any lines', '…\nb\n…', '1\r\n2\nb\n3\n', true],
  ['another line', 'a\nb', 'a\nc\n', false],
  ['more than is shown', 'a', 'a\nb\n', false],
];
for (const [why, shown, came, fits] of text) {
  test(`text: ${why}`, () => assert.equal(textDiffers(shown, came) === undefined, fits));
}
