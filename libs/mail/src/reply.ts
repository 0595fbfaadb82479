// SMTP replies (RFC 5321 section 4.2) with enhanced codes (RFC 2034): what a server said, in parts. The server is somebody else's: its words
// are kept for people to read, made harmless for logs and the database, and never obeyed beyond the code.
import { type EnhancedCode, formatEnhancedCode, parseEnhancedCode } from './enhanced-code.ts';

/** Words kept of a reply. RFC 5321 allows 512 octets per line and sets no number of lines. */
export const maxReplyChars = 4096;

/** What the first digit says, RFC 5321 section 4.2.1. */
export type ReplySeverity = 'positive' | 'intermediate' | 'transient' | 'permanent';

/** A well-formed reply. */
export interface SmtpReply {
  /** 200 to 599. It decides; the enhanced code explains. */
  code: number;
  severity: ReplySeverity;
  /** `5.1.1` as the server said it, also when its class contradicts the code; undefined when it said none. */
  enhancedCode: string | undefined;
  /** The words of each line, without code and enhanced code. */
  lines: string[];
  /** The reply as it came, codes included, lines joined by LF. */
  verbatim: string;
}

/** Why a text isn't a reply. */
export type ReplyProblem = 'empty' | 'no_code' | 'code_out_of_range' | 'separator' | 'mixed_codes' | 'unfinished';

/** Either a reply, or what is wrong with it beside the words that came, fit for a log or a timeline. */
export type ReplyResult = { ok: true; reply: SmtpReply } | { ok: false; problem: ReplyProblem; verbatim: string };

const lineSyntax = /^([0-9]{3})(.?)(.*)$/s;
const enhancedSyntax = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)/;
// PostgreSQL takes no NUL, terminals obey escape sequences, and halves of surrogate pairs have no UTF-8.
const harmful = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;

/**
 * Reads one whole reply, of one or several lines. Lines end in CRLF or LF. `250` without words is a reply (RFC 5321 section 4.2.1),
 * `250-` as the last line isn't, and neither is a reply whose lines disagree about the code.
 */
export function parseReply(text: string): ReplyResult {
  const isCut = text.length > maxReplyChars;
  const rawLines = splitLines(isCut ? text.slice(0, maxReplyChars) : text);
  // Half a line may have lost its code.
  if (isCut && rawLines.length > 1) rawLines.pop();
  const verbatim = rawLines.map(harmless).join('\n');
  const refuse = (problem: ReplyProblem): ReplyResult => ({ ok: false, problem, verbatim });
  if (rawLines.length === 0) return refuse('empty');

  let code: number | undefined;
  let enhancedCode: string | undefined;
  let finished = false;
  const lines: string[] = [];
  for (const raw of rawLines) {
    // Something after the last line: the server is ahead of us or mad.
    if (finished) return refuse('mixed_codes');
    const match = lineSyntax.exec(raw);
    if (match === null) return refuse('no_code');
    const [, digits = '', separator = '', words = ''] = match;
    if (separator !== '' && separator !== ' ' && separator !== '-') return refuse(/[0-9]/.test(separator) ? 'no_code' : 'separator');
    const lineCode = Number(digits);
    if (lineCode < 200 || lineCode > 599) return refuse('code_out_of_range');
    if (code !== undefined && code !== lineCode) return refuse('mixed_codes');
    code = lineCode;
    finished = separator !== '-';
    const enhanced = enhancedSyntax.exec(words);
    const parsed = enhanced?.[1] === undefined ? undefined : parseEnhancedCode(enhanced[1]);
    if (enhanced !== null && parsed !== undefined) enhancedCode = preferred(enhancedCode, parsed, lineCode);
    lines.push(harmless(parsed === undefined || enhanced === null ? words : words.slice(enhanced[0].length)));
  }
  // What was cut off would have had the last line.
  if (!finished && !isCut) return refuse('unfinished');
  if (code === undefined) return refuse('empty');
  return { ok: true, reply: { code, severity: severityOf(code), enhancedCode, lines, verbatim } };
}

/** What the first digit of a code from 200 to 599 says. */
export function severityOf(code: number): ReplySeverity {
  if (code < 300) return 'positive';
  if (code < 400) return 'intermediate';
  return code < 500 ? 'transient' : 'permanent';
}

/** RFC 3464 section 2.3.6 in one line: `smtp; 550 5.1.1 user unknown`. */
export function diagnosticOf(reply: SmtpReply): string {
  const words = reply.lines.filter((line) => line !== '').join(' ');
  return ['smtp;', String(reply.code), reply.enhancedCode, words].filter((part) => part !== undefined && part !== '').join(' ');
}

// The first enhanced code whose class agrees with the reply code; failing that, the first.
function preferred(before: string | undefined, found: EnhancedCode, code: number): string {
  if (before === undefined) return formatEnhancedCode(found);
  const agrees = (text: string) => text.startsWith(String(code)[0] ?? '');
  return !agrees(before) && agrees(formatEnhancedCode(found)) ? formatEnhancedCode(found) : before;
}

function splitLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  return lines;
}

function harmless(text: string): string {
  return text.replace(harmful, (character) => (character === '\t' ? ' ' : '\ufffd'));
}
