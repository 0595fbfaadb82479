// What a delivery report means, in the vocabulary of attempts: how lasting the failure is and whose fault. The code decides, the words only
// where it says nothing; a report says less than a reply in a session, so in doubt it is nobody's mailbox that does not exist.

import type { DeliveryReport } from '@maildoot/mail/delivery-report';
import { parseEnhancedCode } from '@maildoot/mail/enhanced-code';
import { type Bounce, BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';

const fullWords = /\b(?:quota|mailbox (?:is )?full|full mailbox|storage)\b/i;
const unknownWords =
  /\b(?:user unknown|unknown user|no such (?:user|mailbox|address|recipient)|no mailbox here|does ?n[o']t exist|invalid recipient|recipient(?: address)? (?:rejected|not found)|recipientnotfound|mailbox not found)\b/i;
const reputationWords = /\b(?:spamhaus|spamcop|barracuda|black-?list\w*|block-?list\w*|dnsbl|rbl|reputation)\b/i;
const spamWords = /\b(?:spam|junk|virus|malware|phish\w*|content rejected)\b/i;

/** Of a report that says `failed`. */
export function bounceOf({ status, diagnostic }: Pick<DeliveryReport, 'status' | 'diagnostic'>): Bounce {
  return { type: typeOf(status), class: classOf(status, diagnostic), diagnostic: diagnostic || 'x-maildoot; the report gives no reason' };
}

/** Given up after 4yz is still transient: the same again may work another day (RFC 3463 section 2). */
function typeOf(status: string | undefined): BounceType {
  if (status === undefined) return BounceType.BOUNCE_TYPE_UNDETERMINED;
  return status.startsWith('4') ? BounceType.BOUNCE_TYPE_TRANSIENT : BounceType.BOUNCE_TYPE_PERMANENT;
}

function classOf(status: string | undefined, words: string): BounceClass {
  const code = status === undefined ? undefined : parseEnhancedCode(status);
  switch (code?.subject) {
    case 1:
      if (code.detail === 7 || code.detail === 8) return BounceClass.BOUNCE_CLASS_POLICY;
      // Microsoft says it of a mailbox, the registry of a domain.
      if (code.detail === 10 && unknownWords.test(words)) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      return code.detail === 2 || code.detail === 10 ? BounceClass.BOUNCE_CLASS_DNS : BounceClass.BOUNCE_CLASS_RECIPIENT;
    case 2:
      if (code.detail === 2) return BounceClass.BOUNCE_CLASS_MAILBOX_FULL;
      return code.detail === 3 ? BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE : BounceClass.BOUNCE_CLASS_RECIPIENT;
    case 3:
      return code.detail === 4 ? BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE : BounceClass.BOUNCE_CLASS_OTHER;
    case 4:
      if (code.detail === 1 && code.class === 5) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      return code.detail === 3 || code.detail === 4 ? BounceClass.BOUNCE_CLASS_DNS : BounceClass.BOUNCE_CLASS_NETWORK;
    case 5:
      return BounceClass.BOUNCE_CLASS_PROTOCOL;
    case 6:
      if (code.detail === 9) return BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS;
      return code.detail >= 7 ? BounceClass.BOUNCE_CLASS_PROTOCOL : BounceClass.BOUNCE_CLASS_CONTENT;
    case 7:
      if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
      return code.detail === 13 || code.detail === 17 || code.detail === 18
        ? BounceClass.BOUNCE_CLASS_RECIPIENT
        : BounceClass.BOUNCE_CLASS_POLICY;
    default:
      if (fullWords.test(words)) return BounceClass.BOUNCE_CLASS_MAILBOX_FULL;
      if (unknownWords.test(words)) return BounceClass.BOUNCE_CLASS_RECIPIENT;
      if (reputationWords.test(words)) return BounceClass.BOUNCE_CLASS_REPUTATION;
      return spamWords.test(words) ? BounceClass.BOUNCE_CLASS_CONTENT : BounceClass.BOUNCE_CLASS_OTHER;
  }
}
