// What went wrong, as SMTP says it: a reply code (RFC 5321, 4954, 6409) and an enhanced one (RFC 3463, 5248). What can pass is a 4xx, so that
// clients keep the message and come back.
import { ApiError, apiErrorFrom } from './errors.ts';

/** A reply other than success. */
export class SmtpReply extends Error {
  override readonly name = 'SmtpReply';
  readonly responseCode: number;
  /** @param text begins with the enhanced code */
  constructor(responseCode: number, text: string, cause?: unknown) {
    super(text, { cause });
    this.responseCode = responseCode;
  }
}

/** Of AUTH, and of commands that ask again whether the credential is still good. */
export function authReply(error: unknown): SmtpReply {
  const { code, message } = known(error);
  switch (code) {
    case 'INVALID_TOKEN':
      return new SmtpReply(535, '5.7.8 The username and the password do not belong together, or may not be used from this address', error);
    case 'INSUFFICIENT_SCOPE':
      return new SmtpReply(535, '5.7.8 This key may not send: that takes one of scope send or full', error);
    case 'ACCOUNT_SUSPENDED':
      return new SmtpReply(525, `5.7.13 ${line(message)}`, error);
    case 'RATE_LIMITED':
      return new SmtpReply(454, `4.7.0 ${line(message)}`, error);
    default:
      return new SmtpReply(454, '4.7.0 Credentials cannot be checked at the moment, come back later', error);
  }
}

/** Of a message. */
export function messageReply(error: unknown): SmtpReply {
  if (error instanceof SmtpReply) return error;
  const apiError = known(error);
  const { code, message, issues } = apiError;
  const told = line(
    [message, ...issues.slice(0, 3).map((issue) => `${issue.path === '' ? '' : `${issue.path}: `}${issue.message}`)].join(' '),
  );
  switch (code) {
    case 'DOMAIN_NOT_VERIFIED':
    case 'SENDER_NOT_ALLOWED':
      return new SmtpReply(550, `5.7.1 ${line(message)}`, error);
    case 'PAYLOAD_TOO_LARGE':
      return new SmtpReply(552, `5.3.4 ${line(message)}`, error);
    case 'RATE_LIMITED':
      return new SmtpReply(451, `4.7.1 ${line(message)}`, error);
    case 'QUOTA_EXCEEDED':
      return new SmtpReply(452, `4.7.1 ${line(message)}`, error);
    case 'IDEMPOTENCY_IN_PROGRESS':
      return new SmtpReply(451, `4.3.0 ${line(message)}`, error);
    case 'INVALID_TOKEN':
    case 'INSUFFICIENT_SCOPE':
    case 'ACCOUNT_SUSPENDED':
      return authReply(error);
    default:
      if (apiError.status < 500) return new SmtpReply(554, `5.6.0 ${told}`, error);
      return new SmtpReply(451, '4.3.0 The message cannot be kept at the moment, nothing was sent; come back later', error);
  }
}

function known(error: unknown): ApiError {
  return error instanceof ApiError ? error : apiErrorFrom(error);
}

/** One line that fits (RFC 5321 section 4.5.3.1.5), of ASCII but for what the message itself must name. */
function line(text: string): string {
  return [...text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replaceAll('’', "'")].slice(0, 400).join('').replace(/\.$/, '');
}
