// The name of a sending domain as customers type it → the one form that is stored and compared, or why it can't be one.

import { normaliseDomain } from '@maildoot/mail/domain';
import { getPublicSuffix } from 'tldts';

/** RFC 1035 leaves 253 characters; the longest name we ask to publish puts `md1._domainkey.` in front. */
const maxCharacters = 253 - 'md1._domainkey.'.length;
/** Names that never are anybody's on the internet: RFC 6761, RFC 6762, RFC 7686, RFC 9476, ICANN's `internal`, and the reverse tree. */
const reservedTopLevels = new Set(['localhost', 'local', 'internal', 'invalid', 'onion', 'arpa', 'alt']);

export type DomainName = { ok: true; name: string } | { ok: false; code: string; message: string };

/** `Bücher.Example.` → `xn--bcher-kva.example`. Addresses, single labels, reserved names and public suffixes themselves are refused. */
export function parseDomainName(text: string): DomainName {
  // One trailing dot is DNS's own spelling of the same name; a second one is a mistake and fails below.
  const trimmed = text.trim().replace(/[.\u3002\uff0e\uff61]$/u, '');
  if (trimmed === '') return refuse('required', 'Give the domain that mail is sent from: example.com.');
  const name = normaliseDomain(trimmed);
  if (name === undefined) return refuse('invalid_domain', 'Write a domain name like example.com: no address, no URL, no @.');
  if (name.length > maxCharacters)
    return refuse('too_long', `The name has at most ${maxCharacters} characters, so that DNS records fit below it.`);
  const topLevel = name.slice(name.lastIndexOf('.') + 1);
  if (reservedTopLevels.has(topLevel)) return refuse('reserved_domain', `Nobody on the internet can own a name below .${topLevel}.`);
  // Registries' suffixes only: who owns `github.io` may well send from it, nobody sends from `co.uk`.
  if (getPublicSuffix(name, { allowPrivateDomains: false, extractHostname: false }) === name) {
    return refuse('public_suffix', `${name} is a suffix that a registry sells names below; give a name of your own.`);
  }
  return { ok: true, name };
}

function refuse(code: string, message: string): DomainName {
  return { ok: false, code, message };
}
