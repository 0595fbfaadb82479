// Puts tracking into an HTML body: links lead through us, and a picture of one dot tells of an opening. One pass over the tags, like
// text-from-html.ts; what is no link to http(s), or says `data-track="false"`, stays as it is, byte for byte.
import { decodeHTMLAttribute, escapeAttribute } from 'entities';
import { endOfRawText, rawText, readMarkup } from './text-from-html.ts';

export interface Tracking {
  /** Where a link leads instead; undefined = it stays. */
  link?: ((url: string) => string | undefined) | undefined;
  /** The address of the picture. */
  pixel?: string | undefined;
}

const linking = new Set(['a', 'area']);
const attribute = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?/g;

export function withTracking(html: string, { link, pixel }: Tracking): string {
  const linked = link === undefined ? html : withLinks(html, link);
  if (pixel === undefined) return linked;
  const picture = `<img src="${escapeAttribute(pixel)}" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`;
  const body = lastBodyEnd(linked);
  return `${linked.slice(0, body)}${picture}${linked.slice(body)}`;
}

function withLinks(html: string, link: (url: string) => string | undefined): string {
  const parts: string[] = [];
  let written = 0;
  for (let at = 0; at < html.length; ) {
    const bracket = html.indexOf('<', at);
    if (bracket === -1) break;
    const tag = readMarkup(html, bracket);
    if (typeof tag === 'number') {
      at = tag;
      continue;
    }
    at = !tag.closing && rawText.has(tag.name) ? endOfRawText(html, tag) : tag.end;
    if (tag.closing || !linking.has(tag.name)) continue;
    const href = hrefOf(tag.rest);
    const instead = href === undefined ? undefined : link(href.url);
    if (href === undefined || instead === undefined) continue;
    // The rest begins behind `<` and the name.
    const from = bracket + 1 + tag.name.length + href.from;
    parts.push(html.slice(written, from), `"${escapeAttribute(instead)}"`);
    written = from + href.length;
  }
  return parts.length === 0 ? html : `${parts.join('')}${html.slice(written)}`;
}

/** The first href, as a browser takes it, with the place of its value and quotes; undefined where there is none to follow. */
function hrefOf(rest: string): { url: string; from: number; length: number } | undefined {
  let found: { url: string; from: number; length: number } | undefined;
  for (const match of rest.matchAll(attribute)) {
    const [whole, name = '', double, single, bare] = match;
    const lower = name.toLowerCase();
    const value = double ?? single ?? bare;
    if (lower === 'data-track' && value === 'false') return undefined;
    if (lower !== 'href' || value === undefined || found !== undefined) continue;
    const length = value.length + (bare === undefined ? 2 : 0);
    found = { url: decodeHTMLAttribute(value).trim(), from: match.index + whole.length - length, length };
  }
  return found !== undefined && isWeb(found.url) ? found : undefined;
}

function isWeb(url: string): boolean {
  return /^https?:\/\/[^\s/]/i.test(url) && !/[\p{Cc}\p{Cs}]/u.test(url) && URL.canParse(url);
}

/** What stands in a comment ends nothing, and a picture there is never fetched. */
function lastBodyEnd(html: string): number {
  let end = html.length;
  for (const { 0: found, index } of html.matchAll(/<!--[\s\S]*?(?:-->|$)|<\/body(?=[\s>])/gi)) if (found[1] === '/') end = index;
  return end;
}
