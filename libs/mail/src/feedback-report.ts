// Complaints: reports in the Abuse Reporting Format (RFC 5965), by which mailbox providers say that a recipient called a message spam.
import { findPart, type MimePart, parseFields } from './mime-parts.ts';

export interface FeedbackReport {
  /** `abuse`, `fraud`, `not-spam`, `virus`, `other`, `opt-out` …, in lower case. */
  type: string;
  /** Who reports: the program. */
  userAgent: string;
  /** Addresses at which our return path may stand: the fields of the report, then the header of the message that is returned. */
  returnPaths: string[];
}

/** undefined for what is none. */
export function readFeedbackReport(message: MimePart): FeedbackReport | undefined {
  const report = findPart(message, ['message/feedback-report']);
  if (report === undefined) return undefined;
  const { fields } = parseFields(`${report.body.replace(/^(?:[ \t]*\r?\n)+/, '')}\r\n\r\n`);
  const type = /^[a-z][a-z0-9-]{0,39}(?=\s|\(|$)/.exec((fields.get('feedback-type') ?? '').toLowerCase())?.[0];
  // Section 3.1: the field is required, and so is its version; who leaves that out has at least said what it is.
  if (type === undefined) return undefined;
  const returned = findPart(message, [
    'message/rfc822',
    'text/rfc822-headers',
    'message/rfc822-headers',
    'message/global',
    'message/global-headers',
  ]);
  const original = parseFields(`${returned?.body.replace(/^(?:[ \t]*\r?\n)+/, '') ?? ''}\r\n\r\n`).fields;
  const said = [fields.get('original-mail-from'), original.get('return-path'), original.get('x-original-return-path')];
  return {
    type,
    userAgent: (fields.get('user-agent') ?? '').replace(/[\p{Cc}\p{Cs}]/gu, ' ').slice(0, 200),
    returnPaths: said.flatMap((value) => (value === undefined ? [] : addressIn(value))),
  };
}

/** A complaint counts where somebody did not want the message; `not-spam` and reports on authentication are something else. */
export function isComplaint({ type }: Pick<FeedbackReport, 'type'>): boolean {
  return type === 'abuse' || type === 'fraud' || type === 'opt-out' || type === 'opt-out-list' || type === 'other' || type === 'virus';
}

function addressIn(value: string): string[] {
  const address = /<?([^<>\s@]{1,64}@[^<>\s@]{1,253})>?/.exec(value)?.[1];
  return address === undefined ? [] : [address];
}
