// Addresses: what is read, what is refused and why, and that reading gives back what was written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import fc from 'fast-check';
import { type AddressProblem, domainOfAddress, formatAddress, mailboxOf, normaliseEmail, parseAddress } from './address.ts';

function parsed(text: string) {
  const result = parseAddress(text);
  assert.ok(result.ok, `${JSON.stringify(text)}: ${result.ok ? '' : result.problem}`);
  return result.mailbox;
}

test('reads every form of one address', () => {
  const table: [string, string, string][] = [
    ['a@example.com', '', 'a@example.com'],
    ['  a@example.com  ', '', 'a@example.com'],
    ['<a@example.com>', '', 'a@example.com'],
    ['Jane <a@example.com>', 'Jane', 'a@example.com'],
    ['Jane<a@example.com>', 'Jane', 'a@example.com'],
    ['Jane  Q.  Doe <a@example.com>', 'Jane Q. Doe', 'a@example.com'],
    ['"Doe, Jane" <a@example.com>', 'Doe, Jane', 'a@example.com'],
    ['"Jane \\"JD\\" Doe" < a@example.com >', 'Jane "JD" Doe', 'a@example.com'],
    ['"back\\\\slash" <a@example.com>', 'back\\slash', 'a@example.com'],
    ['"A" B "C" <a@example.com>', 'A B C', 'a@example.com'],
    ['"<b@example.com>" <a@example.com>', '<b@example.com>', 'a@example.com'],
    ['a@example.com <a@example.com>', 'a@example.com', 'a@example.com'],
    ['[Team] Acme: News <a@example.com>', '[Team] Acme: News', 'a@example.com'],
    ['Zoë Ångström <a@example.com>', 'Zoë Ångström', 'a@example.com'],
    ['👩‍💻 Dev <a@example.com>', '👩‍💻 Dev', 'a@example.com'],
    ['First.Last+tag@Example.COM', '', 'First.Last+tag@example.com'],
    ["o'hara!#$%&*/=?^_`{|}~-@example.com", '', "o'hara!#$%&*/=?^_`{|}~-@example.com"],
    ['"a b"@example.com', '', '"a b"@example.com'],
    ['"a@b"@example.com', '', '"a@b"@example.com'],
    ['"a\\"b"@example.com', '', '"a\\"b"@example.com'],
    ['"needless"@example.com', '', 'needless@example.com'],
    ['"x>"@example.com', '', '"x>"@example.com'],
    ['Jane <"a b"@example.com>', 'Jane', '"a b"@example.com'],
    ['a@bücher.example', '', 'a@xn--bcher-kva.example'],
  ];
  for (const [text, name, address] of table) {
    const mailbox = parsed(text);
    assert.deepEqual([mailbox.name, mailbox.address], [name, address], text);
    assert.equal(mailbox.domain, domainOfAddress(mailbox.address));
    assert.equal(mailbox.needsSmtpUtf8, false, text);
  }
});

test('recognises local parts that need SMTPUTF8 and brings them to NFC', () => {
  assert.deepEqual(parsed('пошта@bücher.example'), {
    name: '',
    address: 'пошта@xn--bcher-kva.example',
    localPart: 'пошта',
    domain: 'xn--bcher-kva.example',
    needsSmtpUtf8: true,
  });
  assert.equal(parsed('zoe\u0308@example.com').address, 'zo\u00eb@example.com');
  assert.equal(parsed('"jörg müller"@example.com').address, '"jörg müller"@example.com');
  // Joiners spell words in some scripts, and marks that compose with nothing belong to others' letters.
  for (const local of ['नेपाली\u200cभाषा', 'क्\u200dष', 'g\u0303uarani', '用户+标签', '👩\u200d🚀', 'ß.straße', 'ｗｉｄｅ', '"ü@<>,"'])
    assert.deepEqual(
      [parsed(`${local}@example.com`).address, parsed(`${local}@example.com`).needsSmtpUtf8],
      [`${local}@example.com`, true],
    );
  // 64 octets, not characters.
  assert.equal(parsed(`${'ü'.repeat(32)}@example.com`).localPart.length, 32);
  assert.equal(refusedAs(`${'ü'.repeat(32)}a@example.com`), 'local_part_too_long');
});

test('refuses local parts that are not what they look like', () => {
  const table = {
    'a right-to-left override': 'jo\u202ernö',
    'an isolate': 'ü\u2066x',
    'a soft hyphen': 'jö\u00adrg',
    'a zero-width space': 'jö\u200brg',
    'a byte order mark': '\ufeffjörg',
    'a space of another width': 'jö\u3000rg',
    'an unseen tag': 'jö\u{e0041}rg',
    'a mark at the beginning': '\u0338ö',
    'a mark behind a dot': 'ö.\u0338a',
    'a joiner between Latin letters': 'a\u200db',
    'a joiner at the end': 'कष\u200d',
    'a Hangul filler': 'jö\u3164rg',
    'a narrow Hangul filler': 'jö\uffa0rg',
    'a Hangul letter to be': 'jö\u115frg',
    'a joiner of graphemes': 'jö\u034frg',
    'a variation of an emoji': '\u2764\ufe0f',
    'a variation of an ideograph': '用\u{e0100}户',
    'an inherent vowel': 'ក\u17b4',
    'a Mongolian variation': 'ᠠ\u180b',
    'a Braille cell without a dot': 'jö\u2800rg',
    'a sign of private use': 'jö\ue000rg',
    'a sign of private use in a far plane': 'jö\u{10fffd}rg',
    'a wide @': 'boss\uff20bank.example',
    'a small @': 'boss\ufe6bbank.example',
    'a letter in parentheses': 'boss\u249c',
    'a Greek question mark, which is a semicolon': 'boss\u037eö',
    'nothing else but that one': 'boss\u037ebank',
    'a character that never will be one': 'ö\uffff',
    'what was no UTF-8': 'j\ufffdrg',
  };
  for (const [what, local] of Object.entries(table)) {
    assert.equal(refusedAs(`${local}@example.com`), 'local_part', what);
    assert.equal(refusedAs(`"${local}"@example.com`), 'local_part', `${what}, quoted`);
    assert.equal(refusedAs(`"@();${local}"@example.com`), 'local_part', `${what}, quoted with others`);
  }
});

test('refuses the rest, and says what it is', () => {
  const table: [string, AddressProblem][] = [
    ['', 'empty'],
    ['   ', 'empty'],
    ['<>', 'empty'],
    ['Jane <>', 'empty'],
    ['plain', 'no_at_sign'],
    ['Jane <plain>', 'no_at_sign'],
    ['"quoted"', 'no_at_sign'],
    ['@example.com', 'local_part'],
    ['.a@example.com', 'local_part'],
    ['a.@example.com', 'local_part'],
    ['a..b@example.com', 'local_part'],
    ['a b@example.com', 'local_part'],
    ['""@example.com', 'local_part'],
    ['"a"b@example.com', 'local_part'],
    ['a\u200bb@example.com', 'local_part'],
    ['a\u202eb@example.com', 'local_part'],
    ['a\u3000b@example.com', 'local_part'],
    [`${'a'.repeat(65)}@example.com`, 'local_part_too_long'],
    [`${'é'.repeat(33)}@example.com`, 'local_part_too_long'],
    ['a@', 'domain'],
    ['a@localhost', 'domain'],
    ['a@example..com', 'domain'],
    ['a@-example.com', 'domain'],
    ['a@exa_mple.com', 'domain'],
    ['a@b@example.com', 'domain'],
    ['a@1.2.3.4', 'domain'],
    ['a@[192.0.2.1]', 'address_literal'],
    ['a@[IPv6:::1]', 'address_literal'],
    [`${'a'.repeat(64)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.example`, 'too_long'],
    ['a'.repeat(5000), 'too_long'],
    ['a(comment)@example.com', 'comment'],
    ['(c) a@example.com', 'comment'],
    ['Team (EU) <a@example.com>', 'comment'],
    ['Jane <a@example.com(c)>', 'comment'],
    ['a@example.com, b@example.com', 'several'],
    ['A <a@example.com>, B <b@example.com>', 'several'],
    ['a@example.com;b@example.com', 'several'],
    ['Doe, Jane <a@example.com>', 'several'],
    ['friends: a@example.com, b@example.com;', 'several'],
    ['<@relay.example:a@example.com>', 'local_part'],
    ['Jane <a@example.com', 'brackets'],
    ['Jane <a@example.com> Doe', 'brackets'],
    ['"Jane <a@example.com>', 'name'],
    ['Ja\\ne <a@example.com>', 'name'],
    [`${'n'.repeat(257)} <a@example.com>`, 'name_too_long'],
    ['a@example.com\r\nBcc: b@example.com', 'control_character'],
    ['a@example.com\n', 'control_character'],
    ['"a\r\nb" <a@example.com>', 'control_character'],
    ['"a\\\r\nb"@example.com', 'control_character'],
    ['a\0@example.com', 'control_character'],
    ['J\u0000 <a@example.com>', 'control_character'],
    ['a\tb <a@example.com>', 'control_character'],
    ['a\u0085@example.com', 'control_character'],
    ['a\u2028@example.com', 'control_character'],
    ['\ud800@example.com', 'control_character'],
  ];
  for (const [text, problem] of table) {
    const result = parseAddress(text);
    assert.equal(result.ok ? `accepted as ${result.mailbox.address}` : result.problem, problem, JSON.stringify(text));
    if (!result.ok) assert.ok(result.message.length > 10);
  }
});

test('limits count octets: 64 for the local part, 254 for the address', () => {
  assert.ok(parseAddress(`${'a'.repeat(64)}@example.com`).ok);
  assert.ok(parseAddress(`${'é'.repeat(32)}@example.com`).ok);
  const domain = `${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(53)}.example`; // 189
  assert.ok(parseAddress(`${'a'.repeat(64)}@${domain}`).ok); // 254
  const longer = parseAddress(`${'a'.repeat(64)}@d${domain.slice(0, 60)}.${domain.slice(64)}`);
  assert.ok(longer.ok, 'same length, other dots');
  const over = parseAddress(`${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(54)}.example`);
  assert.equal(over.ok ? 'ok' : over.problem, 'too_long');
});

test('the object form takes the name as it is', () => {
  const result = mailboxOf('A@Example.com', ' "Team" (EU), Berlin ');
  assert.ok(result.ok);
  assert.equal(result.mailbox.name, '"Team" (EU), Berlin');
  assert.equal(formatAddress(result.mailbox), '"\\"Team\\" (EU), Berlin" <A@example.com>');
  for (const [email, name, problem] of [
    ['a@example.com', 'x\r\nBcc: b@example.com', 'control_character'],
    ['a@example.com\n', 'x', 'control_character'],
    ['Jane <a@example.com>', 'x', 'local_part'],
    ['', 'x', 'empty'],
  ] as const) {
    const refused = mailboxOf(email, name);
    assert.equal(refused.ok ? 'ok' : refused.problem, problem);
  }
});

test('normaliseEmail', () => {
  assert.equal(normaliseEmail('Jane@EXAMPLE.com'), 'Jane@example.com');
  assert.equal(normaliseEmail('Jane <jane@example.com>'), undefined);
});

test('a name that looks like an encoded word is quoted, so that nobody decodes it', () => {
  assert.equal(formatAddress({ name: '=?utf-8?Q?x?=', address: 'a@example.com' }), '"=?utf-8?Q?x?=" <a@example.com>');
  assert.equal(formatAddress({ name: 'Zoë Å', address: 'a@example.com' }), 'Zoë Å <a@example.com>');
  assert.equal(formatAddress({ name: '', address: 'a@example.com' }), 'a@example.com');
});

function refusedAs(text: string): AddressProblem | undefined {
  const result = parseAddress(text);
  return result.ok ? undefined : result.problem;
}

const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 30 });
const names = fc.oneof(printable, fc.string({ unit: 'grapheme', maxLength: 30 }));
const localParts = fc.oneof(
  fc.emailAddress().map((email) => email.slice(0, email.lastIndexOf('@'))),
  printable,
);
const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

test('what is formatted is read back as the same mailbox', () => {
  let accepted = 0;
  fc.assert(
    fc.property(names, localParts, fc.domain(), (name, localPart, domain) => {
      const made = mailboxOf(`${quoted(localPart)}@${domain}`, name);
      if (!made.ok) return;
      accepted++;
      assert.equal(made.mailbox.localPart, localPart);
      assert.deepEqual(parsed(formatAddress(made.mailbox)), made.mailbox);
      assert.deepEqual(parsed(made.mailbox.address), { ...made.mailbox, name: '' });
    }),
    { numRuns: 1500 },
  );
  assert.ok(accepted > 500, `only ${accepted} of the generated addresses were valid`);
});

test('no input whatever yields a control character, an over-long address or an exception', () => {
  const hostile = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\r', '\n', '\0', '"', '\\', '<', '>', '@', ' ', ',', '(', 'a', '.', 'é', '\u2028', '\ud800'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 60,
  });
  const near = fc.tuple(hostile, fc.constantFrom('@example.com', '@example.com>', ' <a@example.com>', '')).map((parts) => parts.join(''));
  fc.assert(
    fc.property(near, (text) => {
      const result = parseAddress(text);
      if (!result.ok) return;
      const { address, name } = result.mailbox;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
      assert.doesNotMatch(address + name, /[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
      assert.ok(Buffer.byteLength(address) <= 254);
      assert.deepEqual(parsed(formatAddress(result.mailbox)), result.mailbox);
    }),
    { numRuns: 1000 },
  );
});

test('reading is linear: an input of any size is answered at once', () => {
  for (const text of [`${'('.repeat(1e6)}`, `"${'\\"'.repeat(5e5)}`, `${'a.'.repeat(5e5)}@example.com`, `a@${'a.'.repeat(5e5)}`]) {
    const startedAt = cpuMs();
    assert.equal(parseAddress(text).ok, false);
    assert.ok(cpuMs() - startedAt < 500);
  }
});
