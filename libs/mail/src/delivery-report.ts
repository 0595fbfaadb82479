// What comes back to a return path, read: delivery status notifications (RFC 3464) and what servers send in their place. Whom it is about
// is said by the return path alone; what stands in here are the words of whoever wrote it, and only the code in them is acted on.
import { isUtf8 } from 'node:buffer';
import { parseEnhancedCode } from './enhanced-code.ts';
import { type Fields, findPart, type MimePart, parseFields } from './mime-parts.ts';

/** RFC 3464 section 2.3.3. */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface DeliveryReport {
  action: DsnAction;
  /** `5.1.1`; undefined where none is told. */
  status: string | undefined;
  /** `smtp; 550 5.1.1 user unknown`, fit for people and the database, at most 1,000 characters; empty where nothing is told. */
  diagnostic: string;
  /** The host that reports. */
  reportingMta: string;
  /** As it is written there. */
  recipient: string;
  /** Whether it is a report by the standard, or was read out of words. */
  standard: boolean;
}

/** undefined for what is no report: an answer of a person or of a machine, mail to a wrong address. */
export function readDeliveryReport(message: MimePart): DeliveryReport | undefined {
  return fromStatusPart(message) ?? fromWords(message);
}

// By the standard ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const actions: ReadonlySet<string> = new Set<DsnAction>(['failed', 'delayed', 'delivered', 'relayed', 'expanded']);

/** Also where the multipart around it is of another kind than `multipart/report`: some gateways rewrite that. */
function fromStatusPart(message: MimePart): DeliveryReport | undefined {
  const status = findPart(message, ['message/delivery-status', 'message/global-delivery-status']);
  if (status === undefined) return undefined;
  const { fields: whole, rest } = parseFields(status.body.replace(/^(?:[ \t]*\r?\n)+/, ''));
  const groups: Fields[] = [];
  for (let left = rest; left.trim() !== '' && groups.length < 100; ) {
    const group = parseFields(left.replace(/^(?:[ \t]*\r?\n)+/, ''));
    groups.push(group.fields);
    left = group.rest;
  }
  // Some leave the empty line out between what is about the message and what is about the recipient.
  if (groups.length === 0 || whole.has('action')) groups.unshift(whole);
  const reports = groups.flatMap((group) => reportOf(group, whole, message));
  // One return path, one recipient; it may have been expanded to several behind it, and one that failed is what has to be known.
  return reports.find(({ action }) => action === 'failed') ?? reports[0];
}

function reportOf(group: Fields, whole: Fields, message: MimePart): DeliveryReport[] {
  const action = /^[a-z]+/i.exec(group.get('action') ?? '')?.[0].toLowerCase() ?? '';
  const status = enhancedCodeIn(group.get('status') ?? '');
  const told = group.get('diagnostic-code') ?? '';
  if (!actions.has(action) && status === undefined) return [];
  return [
    {
      action: actions.has(action) ? (action as DsnAction) : actionOf(status),
      // Exchange says 5.0.0 in the field and more in the words.
      status: moreOf(status, enhancedCodeIn(told)),
      diagnostic: presentable(told === '' ? firstReplyIn(wordsOf(message)) : told),
      reportingMta: presentable((whole.get('reporting-mta') ?? '').replace(/^[^;]*;\s*/, '')),
      recipient: presentable(recipientIn(group.get('original-recipient') ?? group.get('final-recipient') ?? '')),
      standard: true,
    },
  ];
}

/** Without its type. RFC 6533 section 3: where the report is ASCII, a character of a `utf-8` address is `\x{F6}`. */
function recipientIn(field: string): string {
  const [, type = '', address = field] = /^([^;]*);\s*(.*)$/s.exec(field) ?? [];
  if (!/^utf-8\s*$/i.test(type)) return address;
  return address.replace(/\\x\{([0-9A-Fa-f]{2,6})\}/g, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function actionOf(status: string | undefined): DsnAction {
  if (status?.startsWith('2')) return 'delivered';
  return status?.startsWith('4') ? 'delayed' : 'failed';
}

function moreOf(field: string | undefined, words: string | undefined): string | undefined {
  if (field === undefined) return words;
  return field.endsWith('.0.0') && words !== undefined && words[0] === field[0] ? words : field;
}

// Out of words ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

const machineSenders = /(?:mailer-?daemon|postmaster|mail delivery (?:sub)?system|mdaemon|mail-daemon|<>)/i;
const failedSubjects =
  /(?:undeliver|delivery (?:status notification|has failed|failure|failed|error)|returned mail|failure notice|mail delivery failed|could not be delivered|non[- ]?remis|unzustellbar|nicht zustellbar|mail system error|delivery problem)/i;
const delayedWords =
  /(?:delivery (?:is |has been )?delayed|delay(?:ed)? (?:notification|warning)|still (?:be )?(?:retrying|trying)|will (?:keep|continue) (?:trying|to (?:try|retry))|you do not need to (?:resend|send)|this is a warning message only)/i;
const failedWords =
  /(?:could not be delivered|couldn'?t be delivered|wasn'?t able to deliver|unable to (?:deliver|complete)|permanent(?: fatal)? error|giving up|given up|does ?n[o']t exist|no such user|user unknown|unknown user|mailbox (?:unavailable|not found|is full)|did not reach)/i;

/** qmail (QSBMF), Exim and others that write for people; never what answers by itself (RFC 3834). */
function fromWords(message: MimePart): DeliveryReport | undefined {
  const { headers } = message;
  const automatic = (headers.get('auto-submitted') ?? '').toLowerCase();
  const failedRecipients = headers.get('x-failed-recipients');
  // Exim says auto-replied of its bounces too; a holiday program names nobody who failed.
  if (failedRecipients === undefined && automatic.startsWith('auto-replied')) return undefined;
  if (headers.has('x-autoreply') || headers.has('x-autorespond')) return undefined;
  const subject = headers.get('subject') ?? '';
  const words = wordsOf(message);
  const fromMachine = machineSenders.test(headers.get('from') ?? '') || machineSenders.test(headers.get('return-path') ?? '');
  if (
    failedRecipients === undefined &&
    !(fromMachine && (failedSubjects.test(subject) || delayedWords.test(subject + words) || failedWords.test(words)))
  )
    return undefined;
  const told = firstReplyIn(words);
  const status = enhancedCodeIn(told) ?? statusOfReply(told);
  // Who still tries says so; whoever gives up quotes a code, or says at least that.
  const delayed = delayedWords.test(`${subject}\n${words}`) && !failedWords.test(words);
  if (!delayed && status === undefined && !failedWords.test(words) && failedRecipients === undefined) return undefined;
  return {
    action: delayed ? 'delayed' : 'failed',
    status,
    diagnostic: presentable(told === '' ? '' : `smtp; ${told}`),
    reportingMta: '',
    recipient: presentable(failedRecipients ?? /<([^<>\s@]+@[^<>\s]+)>/.exec(words)?.[1] ?? ''),
    standard: false,
  };
}

/** What people read, without the message that is returned below it. */
function wordsOf(message: MimePart): string {
  const text = message.parts.length === 0 ? message : (findPart(message, ['text/plain']) ?? findPart(message, ['text/html']));
  const words = (text?.body ?? '').slice(0, 20_000);
  const plain = text?.type === 'text/html' ? words.replace(/<[^>]{0,500}>/g, ' ') : words;
  const end =
    /^(?:-{3,} ?(?:this is a copy|the following is a copy|below this line|original message|forwarded message)|------ this is)/im.exec(
      plain,
    );
  return end === null ? plain : plain.slice(0, end.index);
}

/** The first line that has the form of an SMTP reply, with those that go on with it. */
function firstReplyIn(words: string): string {
  const found = /(?:^|[\s:;(>"'#])([45][0-9]{2}[ -]+(?:#?[45]\.[0-9]{1,3}\.[0-9]{1,3}\b)?[^\r\n]{0,500})/m.exec(words)?.[1];
  if (found !== undefined) return found.trim();
  return /(?:^|[\s(#])(#?[45]\.[0-9]{1,3}\.[0-9]{1,3}\b[^\r\n]{0,500})/m.exec(words)?.[1]?.trim() ?? '';
}

function statusOfReply(text: string): string | undefined {
  const code = /^([45])[0-9]{2}/.exec(text)?.[1];
  return code === undefined ? undefined : `${code}.0.0`;
}

function enhancedCodeIn(text: string): string | undefined {
  const found = /(?:^|[^0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.]*[0-9])/.exec(text)?.[1];
  return found !== undefined && parseEnhancedCode(found) !== undefined ? found : undefined;
}

// PostgreSQL takes no NUL, terminals obey escape sequences. Bytes were read as a character each: where they are UTF-8, they become it.
function presentable(text: string): string {
  return utf8(text)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, '\ufffd')
    .trim()
    .slice(0, 1000);
}

function utf8(text: string): string {
  if (!/[\x80-\xff]/.test(text) || /[\u0100-\u{10ffff}]/u.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : text;
}
