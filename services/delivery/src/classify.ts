// What a failure means: for good or for now, whose fault, and whether another MX host may do better. Pure; the table beside it in
// classify.test.ts gives a reason per row. The reply code decides how lasting a failure is (RFC 5321 section 4.2.1), the stage decides
// whom it is about (a 5yz before RCPT says nothing about the recipient), the enhanced code (RFC 3463) and, last, words decide the class.
import { parseEnhancedCode } from '@maildoot/mail/enhanced-code';
import { diagnosticOf, type SmtpReply } from '@maildoot/mail/reply';
import { BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';

/** How far an attempt got. `mail` to `data` are the envelope; `body` is between 354 and the final dot, `dot` after it. */
export type Stage = 'connect' | 'greeting' | 'ehlo' | 'starttls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'body' | 'dot';

/** Why an attempt did not end in a 2yz for this recipient. */
export type Trouble =
  | { kind: 'reply'; stage: Stage; reply: SmtpReply }
  /** The connection could not be made, or broke without a reply. */
  | { kind: 'lost'; stage: Stage; detail: string }
  | { kind: 'timeout'; stage: Stage; detail: string }
  | { kind: 'tls'; stage: 'starttls'; detail: string }
  /** Not a reply at all, or one that can't be. */
  | { kind: 'protocol'; stage: Stage; detail: string }
  /** The MX host has no address, or only addresses that we don't connect to. */
  | { kind: 'no_address'; detail: string }
  | { kind: 'refused_address'; detail: string }
  | { kind: 'dns_unavailable'; detail: string }
  | { kind: 'no_such_domain'; detail: string }
  | { kind: 'null_mx'; detail: string }
  /** The server announced a SIZE below the message's. */
  | { kind: 'too_large'; detail: string }
  /** An address needs SMTPUTF8 (RFC 6531) and the server has none: the recipient's own, or one that the sender chose. */
  | { kind: 'no_smtputf8'; whose: 'recipient' | 'sender'; detail: string }
  | { kind: 'content_unavailable'; detail: string }
  /** The address came onto a list, and whether for this message can't be asked. */
  | { kind: 'list_unavailable'; detail: string }
  | { kind: 'content_missing'; detail: string }
  | { kind: 'no_signing_key'; detail: string };

/** What it means. */
export interface Verdict {
  /** False: another attempt may succeed. */
  permanent: boolean;
  type: BounceType;
  class: BounceClass;
  /** RFC 3464 form: `smtp; 550 5.1.1 user unknown`, or `x-maildoot; …` for what no server said. */
  diagnostic: string;
  /** Nothing of the message was handed over and the host, not the recipient, is the trouble: the next MX host is worth a try. */
  nextHost: boolean;
  /** The server may have taken the message: the final dot was sent and no reply came. */
  unknown: boolean;
  /** Our fault: never the recipient's, never a bounce. */
  ours: boolean;
}

const reputationWords =
  /\b(?:spamhaus|spamcop|barracuda|blacklist\w*|black-?listed|blocklist\w*|block ?list\w*|dnsbl|rbl|reputation|listed (?:at|by|in|on))\b/i;
const spamWords = /\b(?:spam|spammy|junk|virus|malware|phish\w*|content rejected)\b/i;
const rateWords = /\b(?:rate|too many|too much|too fast|throttl\w*|limit(?:s|ed)?|exceed\w*|slow down|unusual rate)\b/i;
const greylistWords = /\bgr[ae]y-?list\w*/i;
const fullWords = /\b(?:quota|mailbox (?:is )?full|over ?quota|full mailbox|storage)\b/i;

/** Decides about one failure. */
export function classify(trouble: Trouble): Verdict {
  switch (trouble.kind) {
    case 'reply':
      return classifyReply(trouble.stage, trouble.reply);
    case 'lost':
    case 'timeout':
      return said(trouble.detail, {
        class: BounceClass.BOUNCE_CLASS_NETWORK,
        nextHost: trouble.stage !== 'body' && trouble.stage !== 'dot',
        unknown: trouble.stage === 'dot',
      });
    case 'tls':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_TLS, nextHost: true });
    case 'protocol':
      return said(trouble.detail, {
        class: BounceClass.BOUNCE_CLASS_PROTOCOL,
        nextHost: trouble.stage !== 'body' && trouble.stage !== 'dot',
        unknown: trouble.stage === 'dot',
      });
    case 'no_address':
    case 'refused_address':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_DNS, permanent: true, nextHost: true });
    case 'dns_unavailable':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_DNS, nextHost: true });
    case 'no_such_domain':
    case 'null_mx':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_DNS, permanent: true });
    case 'too_large':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE, permanent: true });
    case 'no_smtputf8':
      return said(trouble.detail, {
        class: trouble.whose === 'sender' ? BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS : BounceClass.BOUNCE_CLASS_PROTOCOL,
        permanent: true,
        nextHost: true,
      });
    case 'content_unavailable':
    case 'list_unavailable':
    case 'no_signing_key':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_INFRASTRUCTURE, ours: true });
    case 'content_missing':
      return said(trouble.detail, { class: BounceClass.BOUNCE_CLASS_INFRASTRUCTURE, permanent: true, ours: true });
  }
}

function classifyReply(stage: Stage, reply: SmtpReply): Verdict {
  const words = reply.lines.join(' ');
  const diagnostic = diagnosticOf(reply);
  const verdict = (permanent: boolean, bounceClass: BounceClass, more: Partial<Verdict> = {}): Verdict => ({
    permanent,
    type: permanent ? BounceType.BOUNCE_TYPE_PERMANENT : BounceType.BOUNCE_TYPE_TRANSIENT,
    class: bounceClass,
    diagnostic,
    nextHost: false,
    unknown: false,
    ours: false,
    ...more,
  });
  switch (stage) {
    case 'connect':
    case 'greeting':
    case 'ehlo':
    case 'starttls':
      // A host that says 521 (RFC 7504) takes no mail at all; other hosts of the domain may. Every other refusal this early is about us or
      // about the host's day, never about a recipient, so it is for now even where the code says 5yz.
      if (reply.code === 521 || reply.code === 556) return verdict(true, BounceClass.BOUNCE_CLASS_DNS, { nextHost: true });
      return verdict(false, earlyClass(reply, words), { nextHost: true });
    case 'auth':
      // Only our own inbox is asked for credentials: our fault.
      return verdict(false, BounceClass.BOUNCE_CLASS_INFRASTRUCTURE, { ours: true });
    case 'mail':
      if (reply.code === 530 || reply.code === 535) return verdict(false, BounceClass.BOUNCE_CLASS_INFRASTRUCTURE, { ours: true });
      // 421 ends the session, whichever command it answers (RFC 5321 section 4.2.4.2).
      if (reply.code === 421) return verdict(false, earlyClass(reply, words), { nextHost: true });
      return verdict(reply.code >= 500, senderClass(reply, words));
    case 'rcpt':
      if (reply.code === 421) return verdict(false, earlyClass(reply, words), { nextHost: true });
      // RFC 5321 section 4.5.3.1.10: 552 here was once used for "too many recipients" and is to be treated as 452 then.
      if (reply.code === 552 && reply.enhancedCode?.endsWith('.5.3')) return verdict(false, BounceClass.BOUNCE_CLASS_RATE_LIMITED);
      return verdict(reply.code >= 500, recipientClass(reply, words));
    case 'data':
    case 'body':
    case 'dot':
      // A positive reply where none may stand (250 to DATA refused by the client, 3yz after the dot) comes as `protocol`, not here.
      return verdict(reply.code >= 500, contentClass(reply, words));
  }
}

/** Before MAIL: about us, our address, or the host. */
function earlyClass(reply: SmtpReply, words: string): BounceClass {
  if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
  if (rateWords.test(words)) return BounceClass.BOUNCE_CLASS_RATE_LIMITED;
  if (subjectOf(reply) === 7) return BounceClass.BOUNCE_CLASS_POLICY;
  return reply.code === 554 || reply.code === 550 ? BounceClass.BOUNCE_CLASS_POLICY : BounceClass.BOUNCE_CLASS_OTHER;
}

/** Answers to MAIL: about the sender, the size, or us. Never about a recipient. */
function senderClass(reply: SmtpReply, words: string): BounceClass {
  const byCode = byEnhancedCode(reply, words);
  if (byCode === BounceClass.BOUNCE_CLASS_RECIPIENT || byCode === BounceClass.BOUNCE_CLASS_MAILBOX_FULL)
    return BounceClass.BOUNCE_CLASS_POLICY;
  if (byCode !== undefined) return byCode;
  if (reply.code === 552 || reply.code === 523) return BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE;
  if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
  if (rateWords.test(words)) return BounceClass.BOUNCE_CLASS_RATE_LIMITED;
  if (reply.code >= 500 && reply.code <= 504) return BounceClass.BOUNCE_CLASS_PROTOCOL;
  return reply.code >= 550 ? BounceClass.BOUNCE_CLASS_POLICY : BounceClass.BOUNCE_CLASS_OTHER;
}

function recipientClass(reply: SmtpReply, words: string): BounceClass {
  const byCode = byEnhancedCode(reply, words);
  if (byCode !== undefined) return byCode;
  if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
  if (greylistWords.test(words)) return BounceClass.BOUNCE_CLASS_POLICY;
  switch (reply.code) {
    case 452:
    case 552:
      return rateWords.test(words) && !fullWords.test(words)
        ? BounceClass.BOUNCE_CLASS_RATE_LIMITED
        : BounceClass.BOUNCE_CLASS_MAILBOX_FULL;
    case 450:
    case 550:
    case 551:
    case 553:
      if (fullWords.test(words)) return BounceClass.BOUNCE_CLASS_MAILBOX_FULL;
      return spamWords.test(words) ? BounceClass.BOUNCE_CLASS_POLICY : BounceClass.BOUNCE_CLASS_RECIPIENT;
    case 554:
      return BounceClass.BOUNCE_CLASS_POLICY;
    case 556:
      return BounceClass.BOUNCE_CLASS_DNS;
    case 530:
      return BounceClass.BOUNCE_CLASS_PROTOCOL;
    default:
      return dialogueClass(reply, words);
  }
}

/** Answers to DATA and to the final dot: about the message. */
function contentClass(reply: SmtpReply, words: string): BounceClass {
  const byCode = byEnhancedCode(reply, words);
  if (byCode !== undefined) return byCode;
  if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
  if (spamWords.test(words)) return BounceClass.BOUNCE_CLASS_CONTENT;
  switch (reply.code) {
    case 552:
    case 523:
      return BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE;
    case 550:
    case 554:
      return BounceClass.BOUNCE_CLASS_CONTENT;
    default:
      return dialogueClass(reply, words);
  }
}

/** What says nothing of recipient and content: about how we speak, or how much. */
function dialogueClass(reply: SmtpReply, words: string): BounceClass {
  switch (reply.code) {
    case 500:
    case 501:
    case 502:
    case 503:
    case 504:
    case 555:
      return BounceClass.BOUNCE_CLASS_PROTOCOL;
    default:
      return rateWords.test(words) ? BounceClass.BOUNCE_CLASS_RATE_LIMITED : BounceClass.BOUNCE_CLASS_OTHER;
  }
}

/** By RFC 3463 subject and detail; undefined where the code says nothing ("other") and the words have to. The class digit is left aside: the reply code rules. */
function byEnhancedCode(reply: SmtpReply, words: string): BounceClass | undefined {
  const enhanced = reply.enhancedCode === undefined ? undefined : parseEnhancedCode(reply.enhancedCode);
  if (enhanced === undefined) return undefined;
  const { subject, detail } = enhanced;
  switch (subject) {
    case 1:
      if (detail === 7 || detail === 8) return BounceClass.BOUNCE_CLASS_POLICY;
      // The registry says 1.10 of a domain with a null MX, Microsoft of a mailbox ("RESOLVER.ADR.RecipientNotFound").
      if (detail === 10 && /recipient ?not ?found/i.test(words)) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      return detail === 2 || detail === 10 ? BounceClass.BOUNCE_CLASS_DNS : BounceClass.BOUNCE_CLASS_RECIPIENT;
    case 2:
      if (detail === 2) return BounceClass.BOUNCE_CLASS_MAILBOX_FULL;
      return detail === 3 ? BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE : BounceClass.BOUNCE_CLASS_RECIPIENT;
    case 3:
      return detail === 4 ? BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE : BounceClass.BOUNCE_CLASS_OTHER;
    case 4:
      // 5.4.1 is how Microsoft says that a recipient doesn't exist ("Recipient address rejected: Access denied").
      if (detail === 1 && reply.code >= 550) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      if (detail === 5) return BounceClass.BOUNCE_CLASS_RATE_LIMITED;
      return detail === 3 || detail === 4 ? BounceClass.BOUNCE_CLASS_DNS : BounceClass.BOUNCE_CLASS_NETWORK;
    case 5:
      return detail === 3 ? BounceClass.BOUNCE_CLASS_RATE_LIMITED : BounceClass.BOUNCE_CLASS_PROTOCOL;
    case 6:
      if (detail === 9) return BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS;
      return detail >= 7 ? BounceClass.BOUNCE_CLASS_PROTOCOL : BounceClass.BOUNCE_CLASS_CONTENT;
    case 7:
      if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
      if (detail === 13 || detail === 17 || detail === 18) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      if (detail === 10) return BounceClass.BOUNCE_CLASS_TLS;
      if (detail === 28) return BounceClass.BOUNCE_CLASS_RATE_LIMITED;
      return BounceClass.BOUNCE_CLASS_POLICY;
    default:
      return undefined;
  }
}

function subjectOf(reply: SmtpReply): number | undefined {
  return reply.enhancedCode === undefined ? undefined : parseEnhancedCode(reply.enhancedCode)?.subject;
}

function said(detail: string, more: Partial<Verdict> & { class: BounceClass }): Verdict {
  const permanent = more.permanent === true;
  const unknown = more.unknown === true;
  return {
    permanent,
    type: permanent ? BounceType.BOUNCE_TYPE_PERMANENT : unknown ? BounceType.BOUNCE_TYPE_UNDETERMINED : BounceType.BOUNCE_TYPE_TRANSIENT,
    diagnostic: `x-maildoot; ${detail}`,
    nextHost: false,
    unknown,
    ours: false,
    ...more,
  };
}
