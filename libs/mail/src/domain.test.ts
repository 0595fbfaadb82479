// Domains: what is one, its one form, and who runs it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isHostName, normaliseDomain, organisationalDomain } from './domain.ts';

test('normaliseDomain gives lower-case A-labels', () => {
  const table: [string, string][] = [
    ['Example.COM', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['Bücher.Example', 'xn--bcher-kva.example'],
    ['straße.de', 'xn--strae-oqa.de'], // IDNA 2008: ß is a letter of its own
    ['例え。テスト', 'xn--r8jz45g.xn--zckzah'], // the ideographic full stop separates labels
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['a--b.example', 'a--b.example'],
    ['3com.example', '3com.example'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  ];
  for (const [input, expected] of table) assert.equal(normaliseDomain(input), expected, input);
});

test('normaliseDomain refuses what is no domain of two labels', () => {
  const table: [string, string][] = [
    ['', 'empty'],
    ['localhost', 'one label'],
    ['example.com.', 'trailing dot'],
    ['.example.com', 'empty label'],
    ['a..example', 'empty label'],
    ['-a.example', 'hyphen first'],
    ['a-.example', 'hyphen last'],
    ['under_score.example', 'underscore'],
    ['127.0.0.1', 'an address'],
    ['１２７.０.０.１', 'an address in full-width digits, which the URL parser would read as one'],
    ['example.123', 'last label is a number'],
    ['ex%61mple.com', 'an escape'],
    ['b\u00fccher%61.example', 'the URL parser would decode this'],
    ['b\u00fccher@x.example', 'the URL parser would take this for a user name'],
    ['example.com:25', 'port'],
    ['user@example.com', 'address'],
    ['exa mple.com', 'space'],
    ['exa\u00admple.com', 'soft hyphen, which UTS 46 deletes'],
    ['exa\u200bmple.com', 'zero width space'],
    ['xn--a.example', 'no valid punycode'],
    ['example.com\r\n', 'line break'],
    ['exam\0ple.com', 'NUL'],
    [`${'a'.repeat(64)}.example`, 'label of 64'],
    [`${`${'a'.repeat(49)}.`.repeat(5)}example`, 'longer than 253'],
    [`${'ü'.repeat(62)}.example`, 'longer than 63 as an A-label'],
  ];
  for (const [input, why] of table) assert.equal(normaliseDomain(input), undefined, why);
});

test('a normalised domain is a host name and stays what it is', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.domain(),
        fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => `${text}.example`),
      ),
      (text) => {
        const domain = normaliseDomain(text);
        if (domain === undefined) return;
        assert.ok(isHostName(domain));
        assert.equal(normaliseDomain(domain), domain);
      },
    ),
    { numRuns: 1000 },
  );
});

test('host names may have one label; numbers as the last one are addresses', () => {
  for (const name of ['localhost', 'mx-1', 'MX.example.com', 'a.b']) assert.equal(isHostName(name), true, name);
  for (const name of ['', '1', '10.0.0.1', 'a.', 'a b', '_dmarc.example.com', 'ü.example']) assert.equal(isHostName(name), false, name);
});

test('organisationalDomain names the operator', () => {
  const table: [string, string][] = [
    ['gmail-smtp-in.l.google.com', 'google.com'],
    ['ALT1.ASPMX.L.GOOGLE.COM.', 'google.com'],
    ['example-com.mail.protection.outlook.com', 'outlook.com'],
    ['mx.example.co.uk', 'example.co.uk'],
    ['mx.someone.github.io', 'github.io'],
    ['mx1.acme.test', 'acme.test'],
    ['localhost', 'localhost'],
    ['192.0.2.1', '192.0.2.1'],
    ['co.uk', 'co.uk'],
  ];
  for (const [host, expected] of table) assert.equal(organisationalDomain(host), expected, host);
});
