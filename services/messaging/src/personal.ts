// Which parts of a message are each recipient's own, and how they are written: the picture and the links of tracking in the HTML, and the
// header fields by which a recipient unsubscribes. Marks stand in the frozen bytes; delivery puts the recipient's tokens there before it
// signs (libs/mail tracking-token.ts), so that the header fields are inside the signature, as RFC 8058 section 4 wants it.
import { withTracking } from '@maildoot/mail/tracked-html';
import { type LinkKey, linkMark, maxTargetChars, signTarget } from '@maildoot/mail/tracking-token';
import type { Header, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid } from '@maildoot/runtime/ids';

export const personalOpens = 1;
export const personalClicks = 2;
const personalUnsubscribe = 4;

/** Where links to us begin, and what signs their targets. */
export interface Links {
  /** Without a slash at the end. */
  url: string;
  key: LinkKey;
}

type PersonalFields = Pick<OutgoingMessage, 'id' | 'html' | 'trackOpens' | 'trackClicks' | 'unsubscribe'>;

/** The bits of message.personal; 0 = all recipients get the same bytes. */
export function personalOf({ html, trackOpens, trackClicks, unsubscribe }: Omit<PersonalFields, 'id'>): number {
  const hasHtml = html !== '';
  return (
    (trackOpens && hasHtml ? personalOpens : 0) |
    (trackClicks && hasHtml ? personalClicks : 0) |
    (unsubscribe !== undefined && unsubscribe.url === '' ? personalUnsubscribe : 0)
  );
}

/** The HTML with its marks. The text part never has any: it is made of the HTML as the sender wrote it. */
export function personalHtml(message: PersonalFields, links: Links | undefined): string {
  const personal = personalOf(message);
  if (links === undefined || (personal & (personalOpens | personalClicks)) === 0) return message.html;
  const { url, key } = links;
  const uuid = uuidOf(message);
  const click = `${url}/t/c/${linkMark('click', uuid)}`;
  const toUs = `${url}/`;
  return withTracking(message.html, {
    link:
      (personal & personalClicks) === 0
        ? undefined
        : (target) => (target.length > maxTargetChars || target.startsWith(toUs) ? undefined : `${click}${signTarget(key, target)}`),
    pixel: (personal & personalOpens) === 0 ? undefined : `${url}/t/o/${linkMark('open', uuid)}`,
  });
}

/** `List-Unsubscribe` (RFC 2369) and, where a URL can be posted to, `List-Unsubscribe-Post` (RFC 8058 section 3.1). */
export function unsubscribeHeaders(message: PersonalFields, links: Links | undefined): Header[] {
  const { unsubscribe } = message;
  if (unsubscribe === undefined) return [];
  const own = links === undefined ? '' : `${links.url}/u/${linkMark('unsubscribe', uuidOf(message))}`;
  const url = unsubscribe.url || own;
  // RFC 6068 section 2: in a URL a local part beyond ASCII is percent-encoded.
  const mailto = unsubscribe.mailto.replace(/[\u0080-\u{10ffff}]+/gu, encodeURIComponent);
  const ways = [url, mailto === '' ? '' : `mailto:${mailto}`].filter((way) => way !== '');
  if (ways.length === 0) return [];
  return [
    // Each on a line of its own: both together may be longer than a line can be (RFC 5322 section 2.1.1).
    { name: 'List-Unsubscribe', value: ways.map((way) => `<${way}>`).join(',\r\n ') },
    ...(url === '' ? [] : [{ name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' }]),
  ];
}

function uuidOf({ id }: Pick<OutgoingMessage, 'id'>): string {
  const uuid = idToUuid('msg', id);
  if (uuid === undefined) throw new TypeError('the message has no id');
  return uuid;
}
