// The plain text of an HTML mail, for the text part when a sender gives none. One pass over the characters with no tree: HTML of mails comes
// from anybody, and parsers that build a tree take quadratic time or overflow the stack on a hundred thousand open tags.
// It reads like the page: paragraphs, list marks, quotes, link targets behind their words, alternative texts; nothing that is not shown.
import { decodeHTML, decodeHTMLAttribute } from 'entities';

/** Characters of HTML that are looked at, and of text that are given. Past them the text ends with `[…]`. */
export const textLimits = { maxHtmlChars: 10_000_000, maxTextChars: 1_000_000 };

const blankLineAround = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'dl', 'blockquote', 'pre', 'table', 'hr']);
const ownLine = new Set([
  ...['div', 'li', 'tr', 'dt', 'dd', 'section', 'article', 'header', 'footer', 'main', 'nav', 'aside', 'address', 'figure', 'figcaption'],
  ...['form', 'fieldset', 'legend', 'center', 'caption', 'body', 'html', 'details', 'summary'],
]);
// Their content is no markup (or not shown), up to the end tag of the same name.
export const rawText = new Set(['script', 'style', 'title', 'template', 'iframe', 'noframes', 'xmp', 'object', 'svg', 'math']);
const voidElements = new Set(['br', 'hr', 'img', 'input', 'meta', 'link', 'col', 'area', 'base', 'embed', 'source', 'track', 'wbr']);
const maxDepth = 10;

const tagName = /[a-zA-Z][^\s/>]*/y;
const attribute = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?/g;
const shownUrl = /^(?:https?:\/\/|mailto:|tel:)[^\s<>]+$/i;
const hidingStyle = /display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden/i;
// Soft hyphens, zero-width spaces and joiners that pad previews; and every control but TAB and line breaks.
const unwanted = /(?![\t\n\r])[\p{Cc}\p{Cs}]|\u00ad|\u034f|\u200b|\u2060|\ufeff/gu;

export interface Tag {
  name: string;
  closing: boolean;
  /** What stands between the name and the bracket. */
  rest: string;
  /** Index after the bracket. */
  end: number;
}

/** Gives lines that end in LF, with no line end at the end; empty when nothing is shown. */
export function textFromHtml(html: string): string {
  const source = html.length > textLimits.maxHtmlChars ? html.slice(0, textLimits.maxHtmlChars) : html;
  const page = new Page();
  // The element that hides what is in it, and how many of its name are open.
  let hidden: { name: string; open: number } | undefined;
  let at = 0;
  while (at < source.length && !page.full) {
    const bracket = source.indexOf('<', at);
    const textEnd = bracket === -1 ? source.length : bracket;
    if (hidden === undefined && textEnd > at) page.text(decodeHTML(source.slice(at, textEnd)));
    if (bracket === -1) break;
    const tag = readMarkup(source, bracket);
    if (typeof tag === 'number') {
      // A comment or declaration; or a bracket that is one.
      if (tag === bracket + 1 && hidden === undefined) page.text('<');
      at = tag;
      continue;
    }
    at = tag.end;
    if (!tag.closing && rawText.has(tag.name)) at = endOfRawText(source, tag);
    else if (hidden !== undefined) hidden = stillHidden(hidden, tag);
    else if (!tag.closing && !voidElements.has(tag.name) && hides(tag)) hidden = { name: tag.name, open: 1 };
    else if (tag.closing) page.close(tag.name);
    else page.open(tag);
  }
  return page.finish(source.length < html.length);
}

// A tag, or where the text goes on after something that is none.
export function readMarkup(source: string, bracket: number): Tag | number {
  if (source.startsWith('<!--', bracket)) return after(source, '-->', bracket + 4);
  const second = source[bracket + 1];
  if (second === '!' || second === '?') return after(source, '>', bracket + 2);
  const closing = second === '/';
  tagName.lastIndex = bracket + (closing ? 2 : 1);
  const name = tagName.exec(source)?.[0];
  if (name === undefined) return closing ? after(source, '>', bracket + 2) : bracket + 1;
  // A bracket inside a quoted value ends nothing; a quote counts only after an equals sign.
  let value = false;
  let at = tagName.lastIndex;
  for (; at < source.length && source[at] !== '>'; at++) {
    const character = source[at];
    if (value && (character === '"' || character === "'")) {
      const quote = source.indexOf(character, at + 1);
      at = quote === -1 ? source.length : quote;
      value = false;
    } else if (character === '=') value = true;
    else if (character !== ' ' && character !== '\t' && character !== '\n' && character !== '\r') value = false;
  }
  return { name: name.toLowerCase(), closing, rest: source.slice(tagName.lastIndex, at), end: Math.min(at + 1, source.length) };
}

function after(source: string, end: string, from: number): number {
  const found = source.indexOf(end, from);
  return found === -1 ? source.length : found + end.length;
}

export function endOfRawText(source: string, tag: Tag): number {
  if (tag.rest.endsWith('/') && (tag.name === 'svg' || tag.name === 'math')) return tag.end;
  const closing = new RegExp(`</${tag.name}(?=[\\s/>])`, 'gi');
  closing.lastIndex = tag.end;
  const found = closing.exec(source);
  return found === null ? source.length : after(source, '>', found.index);
}

function stillHidden(hidden: { name: string; open: number }, tag: Tag): { name: string; open: number } | undefined {
  if (tag.name !== hidden.name) return hidden;
  const open = hidden.open + (tag.closing ? -1 : 1);
  return open === 0 ? undefined : { name: hidden.name, open };
}

function hides(tag: Tag): boolean {
  if (!/hid|display/i.test(tag.rest)) return false;
  const found = attributesOf(tag.rest);
  return found.has('hidden') || hidingStyle.test(found.get('style') ?? '');
}

function attributesOf(rest: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', double, single, bare] of rest.matchAll(attribute)) {
    const lower = name.toLowerCase();
    if (!found.has(lower)) found.set(lower, decodeHTMLAttribute(double ?? single ?? bare ?? ''));
  }
  return found;
}

// What is written so far, and what has to come before the next word.
class Page {
  readonly #parts: string[] = [];
  #length = 0;
  #newlines = 0;
  #space = false;
  #atLineStart = true;
  #mark = '';
  #pre = 0;
  #quotes = 0;
  #quotesOfLine = 0;
  readonly #lists: { ordered: boolean; next: number }[] = [];
  #listsBeyond = 0;
  #link: { url: string; from: number } | undefined;

  get full(): boolean {
    return this.#length > textLimits.maxTextChars;
  }

  text(raw: string): void {
    const text = raw.replace(unwanted, '');
    if (this.#pre > 0) {
      for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
        if (index > 0) this.#newlines = Math.min(2, this.#newlines + 1);
        if (line !== '') this.#write(line);
      }
      return;
    }
    for (const word of text.split(/(\s+)/)) {
      if (word === '') continue;
      if (/^\s/.test(word)) this.#space = true;
      else this.#write(word);
    }
  }

  open(tag: Tag): void {
    this.#breakAround(tag.name, this.#lists.length);
    switch (tag.name) {
      case 'br':
        this.#newlines = Math.min(2, this.#newlines + 1);
        return;
      case 'hr':
        this.#write('---');
        this.#newlines = 2;
        return;
      case 'td':
      case 'th':
        this.#space = true;
        return;
      case 'img':
        this.text(attributesOf(tag.rest).get('alt') ?? '');
        return;
      case 'pre':
        this.#pre++;
        return;
      case 'blockquote':
        this.#quotes++;
        return;
      case 'ul':
      case 'ol':
        if (this.#lists.length < maxDepth) this.#lists.push({ ordered: tag.name === 'ol', next: 1 });
        else this.#listsBeyond++;
        return;
      case 'li': {
        const list = this.#lists.at(-1);
        this.#mark = list?.ordered === true ? `${list.next++}. ` : '- ';
        return;
      }
      case 'a': {
        this.#endLink();
        const url = (attributesOf(tag.rest).get('href') ?? '').trim().replace(unwanted, '');
        if (shownUrl.test(url)) this.#link = { url, from: this.#parts.length };
        return;
      }
    }
  }

  close(name: string): void {
    if (name === 'a') this.#endLink();
    this.#breakAround(name, this.#lists.length - 1);
    if (name === 'pre') this.#pre = Math.max(0, this.#pre - 1);
    else if (name === 'blockquote') this.#quotes = Math.max(0, this.#quotes - 1);
    else if (name === 'li') this.#mark = '';
    else if (name === 'ul' || name === 'ol') {
      if (this.#listsBeyond > 0) this.#listsBeyond--;
      else this.#lists.pop();
    }
  }

  finish(cut: boolean): string {
    this.#endLink();
    const text = this.#parts.join('');
    return cut || this.full ? `${text.slice(0, textLimits.maxTextChars).toWellFormed()}\n[…]` : text;
  }

  // A list inside a list follows its item without an empty line. `enclosing`: lists around the element.
  #breakAround(name: string, enclosing: number): void {
    const inner = enclosing > 0 && (name === 'ul' || name === 'ol');
    const wanted = blankLineAround.has(name) ? (inner ? 1 : 2) : ownLine.has(name) ? 1 : 0;
    this.#newlines = Math.max(this.#newlines, wanted);
  }

  // The target behind the words, unless they say it already.
  #endLink(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    const words = this.#parts.slice(link.from).join('').trim();
    const bare = (text: string) =>
      text
        .replace(/^(?:https?:\/\/|mailto:|tel:)/i, '')
        .replace(/\/$/, '')
        .toLowerCase();
    if (bare(words) === bare(link.url)) return;
    const url = link.url.replace(/^(?:mailto|tel):/i, '');
    if (words !== '') this.#space = true;
    this.#write(words === '' ? url : `<${url}>`);
  }

  #write(text: string): void {
    if (this.#parts.length === 0) {
      this.#newlines = 0;
      this.#atLineStart = true;
    }
    if (this.#newlines > 0) {
      // An empty line is quoted when both its neighbours are.
      const marks = '> '.repeat(Math.min(this.#quotes, this.#quotesOfLine, maxDepth)).trimEnd();
      this.#push(this.#newlines > 1 ? `\n${marks}\n` : '\n');
      this.#newlines = 0;
      this.#atLineStart = true;
    }
    if (this.#atLineStart) {
      const indent = '  '.repeat(Math.max(0, this.#lists.length - 1));
      const hanging = this.#lists.length > 0 && this.#mark === '' ? '  ' : '';
      this.#push(
        '> '.repeat(Math.min(this.#quotes, maxDepth)) + (this.#pre > 0 ? '' : indent + (this.#mark === '' ? hanging : this.#mark)),
      );
      this.#mark = '';
      this.#quotesOfLine = this.#quotes;
    } else if (this.#space) this.#push(' ');
    this.#space = false;
    this.#atLineStart = false;
    this.#push(text);
  }

  #push(text: string): void {
    if (text === '') return;
    this.#parts.push(text);
    this.#length += text.length;
  }
}
