// What the inbox shows of a mail beside its bytes: subject, addresses, text, links and one-time codes, and whether its DKIM signature holds.
// Everything is bounded: the mail is somebody's test, and may be forty megabytes or malformed on purpose.
import { textFromHtml } from '@maildoot/mail/text-from-html';
import { DnsError, type Resolver } from '@maildoot/runtime/resolver';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import PostalMime, { type Address, type Email } from 'postal-mime';

export interface ReadMail {
  headerFrom: string;
  headerTo: string;
  subject: string;
  text: string;
  html: string;
  links: string[];
  codes: string[];
}

/** Larger mails are shown by their headers only: decoding them would hold up everything else in this process. */
export const maxParsedBytes = 1 << 20;
const maxHeaderBytes = 64 << 10;
const maxTextChars = 200_000;
const maxHtmlChars = 500_000;
const maxItems = 100;

/** Reads what can be read; a mail that can't be parsed is shown empty rather than refused. */
export async function readMail(raw: Buffer): Promise<ReadMail> {
  let mail: Partial<Email>;
  try {
    const parsed = raw.length > maxParsedBytes ? raw.subarray(0, maxHeaderBytes) : raw;
    mail = await PostalMime.parse(parsed, { attachmentEncoding: 'arraybuffer' });
  } catch {
    mail = {};
  }
  const bodies = raw.length > maxParsedBytes ? { text: '', html: '' } : { text: mail.text ?? '', html: mail.html ?? '' };
  const text = storable(bodies.text.slice(0, maxTextChars));
  const html = storable(bodies.html.slice(0, maxHtmlChars));
  const subject = storable((mail.subject ?? '').slice(0, 2_000));
  return {
    headerFrom: storable(shown(mail.from === undefined ? [] : [mail.from])),
    headerTo: storable(shown(mail.to ?? [])),
    subject,
    text,
    html,
    links: linksIn(html, text),
    codes: codesIn(subject, text === '' ? textFromHtml(html) : text),
  };
}

const attributeLink = /\b(?:href|src)\s*=\s*(?:"([^"]+)"|'([^']+)')/gi;
const textLink = /\bhttps?:\/\/[^\s<>"']+/gi;

/** http and https links in the order of appearance, each once: those of the HTML, then those that only the text has. */
export function linksIn(html: string, text: string): string[] {
  const found = new Set<string>();
  for (const match of html.matchAll(attributeLink)) {
    const link = unescapeHtml(match[1] ?? match[2] ?? '').trim();
    if (/^https?:\/\//i.test(link)) found.add(link);
  }
  for (const match of text.matchAll(textLink)) found.add(withoutEndMarks(match[0]));
  return [...found].slice(0, maxItems);
}

// Alone; behind one letter that is, as in G-482913; or right behind a word and its colon, which is not a host with its port.
// In two groups of three only where no third one makes an amount or a telephone number of them.
const code =
  /(?:(?<![\w.,:/#-])|(?<=(?<![\w-])[a-z]-)|(?<=\p{L}:)(?<!(?:localhost|\.[\w-]+):))(?:\d{4,8}|(?<![\d)] ?)\d{3}[ -]\d{3}(?! \d))(?![\w/-]|[.,:]\d)/giu;

/** Runs of 4 to 8 digits that stand alone: `482913`, `482 913`, `code:482913`, `G-482913`, not part of a longer number, a word or a link. */
export function codesIn(...texts: string[]): string[] {
  const found = new Set<string>();
  for (const text of texts) {
    for (const match of text.replace(textLink, ' ').matchAll(code)) found.add(match[0].replace(/[ -]/, ''));
  }
  return [...found].slice(0, maxItems);
}

/** RFC 8601 result of the first signature, and who signed. */
export interface DkimFound {
  result: string;
  domain: string;
}

const dkimTimeoutMs = 3_000;

/** Verifies like any receiver would, with keys from DNS. */
export async function verifyDkim(raw: Buffer, resolver: Pick<Resolver, 'resolveTxt'>): Promise<DkimFound> {
  const signal = AbortSignal.timeout(dkimTimeoutMs);
  try {
    const verified = await dkimVerify(raw, {
      minBitLength: 1024,
      resolver: async (name: string, type: string): Promise<string[][]> => {
        if (type !== 'TXT') throw Object.assign(new Error('only TXT is asked for'), { code: 'ENODATA' });
        try {
          return (await resolver.resolveTxt(name, signal)).map((record) => [record]);
        } catch (error) {
          // mailauth tells "no key" from "no answer" by Node's codes.
          const absent = error instanceof DnsError && error.absent;
          throw Object.assign(new Error('DNS', { cause: error }), { code: absent ? 'ENOTFOUND' : 'ESERVFAIL' });
        }
      },
    });
    const first = verified.results.find((result) => result.signingDomain !== undefined && result.signingDomain !== '');
    return { result: first?.status.result ?? 'none', domain: first === undefined ? '' : String(first.signingDomain) };
  } catch {
    return { result: 'temperror', domain: '' };
  }
}

function shown(addresses: readonly Address[]): string {
  return addresses
    .map((address) =>
      address.address === undefined ? address.name : address.name === '' ? address.address : `${address.name} <${address.address}>`,
    )
    .join(', ')
    .slice(0, 10_000);
}

// PostgreSQL takes no NUL, and halves of surrogate pairs have no UTF-8.
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

// What ends the sentence and not the link; a bracket that was opened within the link belongs to it. From behind: a pattern with `$` looks at
// a row of full stops from each of them on.
function withoutEndMarks(link: string): string {
  let end = link.length;
  let unopened = link.split(')').length - link.split('(').length;
  for (; end > 0 && '.,;:!?)]'.includes(link.charAt(end - 1)); end--) if (link.charAt(end - 1) === ')' && unopened-- <= 0) break;
  return link.slice(0, end);
}

function unescapeHtml(text: string): string {
  return text
    .replace(/&amp;/gi, '&')
    .replace(/&#0*38;/g, '&')
    .replace(/&#x0*26;/gi, '&')
    .replace(/&quot;/gi, '"');
}
