// Mail addresses as people type them and as the wire wants them: RFC 5322 section 3.4 (with the name in UTF-8, RFC 6532), RFC 5321
// section 4.1.2 for what may stand in an envelope, RFC 6531 for local parts beyond ASCII. Strict where leniency would send mail to somebody
// else; lenient only in unquoted names, which nobody routes by. Control characters, so CR, LF and NUL, are refused everywhere.
import { maxDomainChars, normaliseDomain } from './domain.ts';

/** RFC 5321 section 4.5.3.1.1, octets. */
export const maxLocalPartBytes = 64;
/** RFC 5321 section 4.5.3.1.3: a path is 256 octets with its angle brackets. */
export const maxAddressBytes = 254;
/** Ours: no standard limits a name, header folding needs some limit. */
export const maxNameChars = 256;
// Every character of a name may be escaped, and spaces may surround the parts.
const maxTextChars = 2 * maxNameChars + maxAddressBytes + 64;

/** An address with the name beside it. Only the functions of this file make one, so that it is always fit for envelope and header. */
export interface Mailbox {
  /** Without quotes; empty when none was given. */
  name: string;
  /** As the envelope wants it: the local part quoted where it must be, the domain in lower-case A-labels. */
  address: string;
  /** Without quotes, its case kept: only the receiving server knows whether it matters. */
  localPart: string;
  /** Lower-case A-labels. */
  domain: string;
  /** The local part isn't ASCII, so every hop has to offer SMTPUTF8 (RFC 6531). */
  needsSmtpUtf8: boolean;
}

/** Why a text isn't an address. */
export type AddressProblem =
  | 'empty'
  | 'too_long'
  | 'control_character'
  | 'no_at_sign'
  | 'local_part'
  | 'local_part_too_long'
  | 'domain'
  | 'address_literal'
  | 'comment'
  | 'several'
  | 'name'
  | 'name_too_long'
  | 'brackets';

/** Either a mailbox, or what is wrong and what to do. The message never repeats the input. */
export type AddressResult = { ok: true; mailbox: Mailbox } | { ok: false; problem: AddressProblem; message: string };

const messages: Record<AddressProblem, string> = {
  empty: 'Give an address like name@example.com.',
  too_long: `An address has at most ${maxAddressBytes} bytes.`,
  control_character: 'Line breaks and other control characters are not allowed in an address.',
  no_at_sign: 'An address needs a local part, an @ and a domain, like name@example.com.',
  local_part: 'The part before the @ has a character or a dot where none may be; quote it if it is meant: "a b"@example.com.',
  local_part_too_long: `The part before the @ has at most ${maxLocalPartBytes} bytes.`,
  domain: 'The part after the @ is not a domain name like example.com.',
  address_literal: 'Addresses with an IP address instead of a domain are not supported.',
  comment: 'Comments in parentheses are not supported; put a name with parentheses into quotes: "Team (EU)" <team@example.com>.',
  several: 'Give one address per item; put a name with a comma or semicolon into quotes: "Doe, Jane" <jane@example.com>.',
  name: 'The name has a character that must be in quotes: "Name" <name@example.com>.',
  name_too_long: `A name has at most ${maxNameChars} characters.`,
  brackets: 'Write a name and an address as: Name <name@example.com>.',
};

// Controls, the two Unicode line breaks, and halves of surrogate pairs, which have no UTF-8.
const forbidden = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const atext = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10ffff}-]";
const dotAtom = new RegExp(`^${atext}+(?:\\.${atext}+)*$`, 'u');
const plainName = new RegExp(`^${atext}+(?: ${atext}+)*$`, 'u');
// Beyond ASCII: nothing that can't be seen, that separates, or that every font shows as it likes (the two joiners spell words in
// some scripts). It takes emoji with U+FE0F along, on purpose.
const unseen = /(?!\u200c|\u200d| )[\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\p{Co}]/u;
// What would melt into the sign before it (a mark that begins a word, once somebody composes `<` and U+0338), joiners where they spell
// nothing, characters that nobody will ever assign, and what stands where bytes were no UTF-8.
const misleading =
  /(?:^|[\x20-/:-@[-`{-~])\p{M}|(?:^|[\x20-\x7e])[\u200c\u200d]|[\u200c\u200d](?:[\x20-\x7e]|$)|\p{Noncharacter_Code_Point}|\ufffd/u;
const ascii = /^[\x20-\x7e]*$/;
const delimiters = /[@<>()[\]\\,;:"]/g;

/** Reads `a@b.c`, `Name <a@b.c>`, `"Name" <a@b.c>` or `<a@b.c>`; exactly one address. */
export function parseAddress(text: string): AddressResult {
  if (forbidden.test(text)) return refuse('control_character');
  if (text.length > maxTextChars) return refuse('too_long');
  const trimmed = trimSpaces(text);
  if (trimmed === '') return refuse('empty');
  const open = readName(trimmed);
  if ('problem' in open) return refuse(open.problem);
  if (open.end === trimmed.length) return checkedMailbox('', trimmed);
  if (!trimmed.endsWith('>')) return refuse(/[,;]/.test(trimmed.slice(open.end)) ? 'several' : 'brackets');
  return checkedMailbox(open.name, trimSpaces(trimmed.slice(open.end + 1, -1)));
}

/** The form `{ email, name }`: the name is taken as it is, without unquoting. */
export function mailboxOf(email: string, name = ''): AddressResult {
  if (forbidden.test(email) || forbidden.test(name)) return refuse('control_character');
  if (email.length > maxTextChars) return refuse('too_long');
  const address = trimSpaces(email);
  return address === '' ? refuse('empty') : checkedMailbox(trimSpaces(name), address);
}

/** The bare address in the one form we store and compare (domain in lower-case A-labels), or undefined. */
export function normaliseEmail(text: string): string | undefined {
  const result = mailboxOf(text);
  return result.ok ? result.mailbox.address : undefined;
}

/** `Name <address>`, the name quoted where RFC 5322 wants it; what parseAddress reads back as the same mailbox. UTF-8, not encoded words. */
export function formatAddress(mailbox: Pick<Mailbox, 'name' | 'address'>): string {
  const { name, address } = mailbox;
  if (name === '') return address;
  // `=?` would be read as the start of an encoded word (RFC 2047).
  if (plainName.test(name) && !name.includes('=?')) return `${name} <${address}>`;
  return `${quote(name)} <${address}>`;
}

/** The domain of an address that was normalised before. */
export function domainOfAddress(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

function refuse(problem: AddressProblem): { ok: false; problem: AddressProblem; message: string } {
  return { ok: false, problem, message: messages[problem] };
}

// Reads words up to an opening bracket. `end` is the bracket's place, or the length of the text when it has none (a bare address).
function readName(text: string): { name: string; end: number } | { problem: AddressProblem } {
  const words: string[] = [];
  let word = '';
  let problem: AddressProblem | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') {
      const quoted = readQuoted(text, at);
      if (quoted === undefined) return { problem: 'name' };
      // A bare address with a quoted local part: "a b"@example.com
      if (text[quoted.end] === '@' && words.length === 0 && word === '' && at === 0 && !text.endsWith('>'))
        return { name: '', end: text.length };
      if (word !== '') words.push(word);
      word = '';
      words.push(quoted.value);
      at = quoted.end - 1;
    } else if (character === '<') {
      if (word !== '') words.push(word);
      return problem === undefined ? { name: trimSpaces(words.join(' ')), end: at } : { problem };
    } else if (character === ' ') {
      if (word !== '') words.push(word);
      word = '';
    } else {
      problem ??= nameProblem(character);
      word += character;
    }
  }
  return problem === 'comment' || problem === 'several' ? { problem } : { name: '', end: text.length };
}

function nameProblem(character: string): AddressProblem | undefined {
  if (character === '(' || character === ')') return 'comment';
  if (character === ',' || character === ';') return 'several';
  return character === '>' || character === '\\' ? 'name' : undefined;
}

// Reads the quoted string that starts at `from`; `end` is the place after its closing quote.
function readQuoted(text: string, from: number): { value: string; end: number } | undefined {
  let value = '';
  for (let at = from + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { value, end: at + 1 };
    if (character === '\\') at++;
    value += text.charAt(at);
  }
  return undefined;
}

function checkedMailbox(name: string, addrSpec: string): AddressResult {
  if (name.length > maxNameChars) return refuse('name_too_long');
  if (addrSpec === '') return refuse('empty');
  let localPart: string;
  let domainText: string;
  if (addrSpec.startsWith('"')) {
    const quoted = readQuoted(addrSpec, 0);
    if (quoted === undefined) return refuse('local_part');
    if (addrSpec[quoted.end] !== '@') return refuse(quoted.end === addrSpec.length ? 'no_at_sign' : 'local_part');
    localPart = quoted.value;
    domainText = addrSpec.slice(quoted.end + 1);
    if (localPart === '') return refuse('local_part');
  } else {
    const at = addrSpec.indexOf('@');
    if (/[()]/.test(addrSpec)) return refuse('comment');
    if (at <= 0) return refuse(at === 0 ? 'local_part' : 'no_at_sign');
    localPart = addrSpec.slice(0, at);
    domainText = addrSpec.slice(at + 1);
    if (/[,;]/.test(addrSpec)) return refuse('several');
    if (!dotAtom.test(localPart)) return refuse('local_part');
  }
  if (!ascii.test(localPart)) {
    if (becomesDelimiter(localPart)) return refuse('local_part');
    localPart = localPart.normalize('NFC');
    if (unseen.test(localPart) || misleading.test(localPart)) return refuse('local_part');
  }
  const isAscii = ascii.test(localPart);
  if (domainText.startsWith('[')) return refuse('address_literal');
  const domain = domainText.length > maxDomainChars ? undefined : normaliseDomain(domainText);
  if (domain === undefined) return refuse('domain');
  const wireLocalPart = dotAtom.test(localPart) ? localPart : quote(localPart);
  if (Buffer.byteLength(wireLocalPart) > maxLocalPartBytes) return refuse('local_part_too_long');
  const address = `${wireLocalPart}@${domain}`;
  if (Buffer.byteLength(address) > maxAddressBytes) return refuse('too_long');
  return { ok: true, mailbox: { name, address, localPart, domain, needsSmtpUtf8: !isAscii } };
}

/** Whether it ends early for whoever folds what looks alike (NFKC), as many do: U+FF20 is a wide `@`. */
function becomesDelimiter(localPart: string): boolean {
  return localPart.replace(delimiters, ' ').normalize('NFKC').search(delimiters) !== -1;
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

// Only the space: String.trim() would also take what belongs to other alphabets' typography, and controls are refused already.
function trimSpaces(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === ' ') start++;
  while (end > start && text[end - 1] === ' ') end--;
  return text.slice(start, end);
}
