// Domain names as mail uses them: IDNA A-labels (RFC 5890), host name syntax and lengths (RFC 1123 section 2.1, RFC 1035 section 2.3.4),
// and the operator behind a host name. Pure; nothing here asks DNS.
import { domainToASCII, domainToUnicode } from 'node:url';
import { getDomain } from 'tldts';

/** RFC 1035 limits a name to 255 octets on the wire, which leaves 253 characters of text. */
export const maxDomainChars = 253;

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const digitsOnly = /^[0-9]+$/;
const asciiOnly = /^[\x20-\x7e]*$/;
// ASCII that may stand in a name. Checked before domainToASCII, which is the URL parser's and would also undo %-escapes.
const foreignAscii = /[\x20-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]/;
// Invisible or separating characters. UTS 46 deletes some of them, so that two names that look alike would become one.
const invisible = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u;

/** True for a lower- or upper-case ASCII host name: letters, digits and hyphens, labels of 1 to 63, a last label that isn't a number. */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > maxDomainChars) return false;
  const labels = name.toLowerCase().split('.');
  return labels.every((text) => label.test(text)) && !digitsOnly.test(labels.at(-1) ?? '');
}

/**
 * The one form of a domain that we store and compare: lower-case A-labels. Undefined when the text isn't a domain of at least two labels.
 * `Bücher.Example` → `xn--bcher-kva.example`.
 */
export function normaliseDomain(text: string): string | undefined {
  if (text.length > maxDomainChars || foreignAscii.test(text) || invisible.test(text)) return undefined;
  const lower = text.toLowerCase();
  let ascii = lower;
  if (!asciiOnly.test(text)) ascii = domainToASCII(text);
  else if (lower.includes('xn--') && !decodes(lower)) return undefined;
  return ascii.includes('.') && isHostName(ascii) ? ascii : undefined;
}

// Node passes labels through that only look like A-labels (`xn--` without punycode behind it): they stay as they are in Unicode.
function decodes(ascii: string): boolean {
  const unicode = domainToUnicode(ascii);
  return !/(?:^|\.)xn--/.test(unicode) && domainToASCII(unicode) === ascii;
}

/**
 * Who runs a host: the name one label below its public suffix, so that `gmail-smtp-in.l.google.com` and `alt1.aspmx.l.google.com` are one
 * destination. Only suffixes of registries count: a company that rents out names below its own (`github.io`) is one operator.
 * Names without one (`localhost`, addresses) answer themselves.
 */
export function organisationalDomain(host: string): string {
  const name = (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
  return getDomain(name, { allowPrivateDomains: false, extractHostname: false }) ?? name;
}
