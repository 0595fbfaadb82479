// What reading a message costs, and what its transfer encodings become.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseMime } from './mime-parts.ts';

const quotedPrintable = (body: string) =>
  parseMime(Buffer.from(`Content-Transfer-Encoding: quoted-printable\r\n\r\n${body}`, 'latin1')).body;

test('quoted-printable: soft line ends go, with the blanks before them; other blanks stay', () => {
  for (const [body, expected] of [
    ['one =\r\ntwo', 'onetwo'],
    ['one \t =\r\n =\r\ntwo', 'onetwo'],
    ['one  two \t three', 'one  two \t three'],
    ['=41=\nB  ', 'AB  '],
    [' =x =\r\n', ' =x'],
  ] as const)
    assert.equal(quotedPrintable(body), expected, JSON.stringify(body));
});

// In another process, which can be ended: a pattern that starts anew at each blank takes many minutes for these.
test('a megabyte of blanks costs no more than a megabyte of anything', async () => {
  const program = `
    const { parseMime } = await import(${JSON.stringify(new URL('./mime-parts.ts', import.meta.url).href)});
    const blanks = 1024 * 1024;
    const { body } = parseMime(Buffer.from('Content-Transfer-Encoding: quoted-printable\\r\\n\\r\\n' + ' '.repeat(blanks) + 'x'));
    console.log(body.length - blanks, body.trimStart());`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 60_000 });
  assert.equal(stdout, '1 x\n');
});
