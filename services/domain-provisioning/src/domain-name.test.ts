// Which names are taken, in which form, and why others aren't.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDomainName } from './domain-name.ts';

for (const [text, expected] of [
  ['example.com', 'example.com'],
  [' Example.COM. ', 'example.com'],
  ['Bücher.Example', 'xn--bcher-kva.example'],
  ['bücher.example。', 'xn--bcher-kva.example'],
  ['mail.example.co.uk', 'mail.example.co.uk'],
  ['github.io', 'github.io'],
  ['a.test', 'a.test'],
] as const) {
  test(`${JSON.stringify(text)} is kept as ${expected}`, () => assert.deepEqual(parseDomainName(text), { ok: true, name: expected }));
}

for (const [text, code, because] of [
  ['', 'required', 'nothing'],
  ['.', 'required', 'the root'],
  ['com', 'invalid_domain', 'one label'],
  ['localhost', 'invalid_domain', 'one label'],
  ['a.localhost', 'reserved_domain', 'RFC 6761'],
  ['printer.local', 'reserved_domain', 'RFC 6762'],
  ['4.3.2.1.in-addr.arpa', 'reserved_domain', 'the reverse tree'],
  ['co.uk', 'public_suffix', 'sold by a registry'],
  ['CO.UK.', 'public_suffix', 'the same in another spelling'],
  ['192.0.2.1', 'invalid_domain', 'an address'],
  ['[2001:db8::1]', 'invalid_domain', 'an address'],
  ['0x7f.1', 'invalid_domain', 'an address to a URL parser'],
  ['example.com..', 'invalid_domain', 'two trailing dots'],
  ['exa..mple.com', 'invalid_domain', 'an empty label'],
  ['.example.com', 'invalid_domain', 'an empty label'],
  ['a@example.com', 'invalid_domain', 'a mail address'],
  ['https://example.com/', 'invalid_domain', 'a URL'],
  ['example.com:25', 'invalid_domain', 'a port'],
  ['*.example.com', 'invalid_domain', 'a wildcard'],
  ['_dmarc.example.com', 'invalid_domain', 'not a host name'],
  ['exa mple.com', 'invalid_domain', 'a space'],
  ['exa\r\nmple.com', 'invalid_domain', 'a line break'],
  ['ex%61mple.com', 'invalid_domain', 'an escape that a URL parser would undo'],
  [`${'a'.repeat(64)}.com`, 'invalid_domain', 'a label over 63 characters'],
  [`${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(56)}.com`, 'too_long', 'no room for records below it'],
] as const) {
  test(`${JSON.stringify(text)} is refused: ${because}`, () => {
    const parsed = parseDomainName(text);
    assert.ok(!parsed.ok);
    assert.equal(parsed.code, code);
  });
}
