// Enhanced mail system status codes: RFC 3463 and the IANA registry built on it (RFC 2034, 4954, 5248, 6531, 6710, 7372, 7505, 7504, 8509, …).
// What a code means in words, for timelines. What it means for a retry is decided by who delivers.

/** `class.subject.detail`, RFC 3463 section 2. */
export interface EnhancedCode {
  /** 2 success, 4 persistent transient failure, 5 permanent failure. */
  class: 2 | 4 | 5;
  subject: number;
  detail: number;
}

const syntax = /^([245])\.([0-9]{1,3})\.([0-9]{1,3})$/;

/** Reads `5.1.1`; undefined when it is none. */
export function parseEnhancedCode(text: string): EnhancedCode | undefined {
  const match = syntax.exec(text);
  if (match === null) return undefined;
  return { class: Number(match[1]) as 2 | 4 | 5, subject: Number(match[2]), detail: Number(match[3]) };
}

/** `{5, 1, 1}` → `5.1.1`. */
export function formatEnhancedCode(code: EnhancedCode): string {
  return `${code.class}.${code.subject}.${code.detail}`;
}

// By subject, the meaning of each detail. Index 0 is the subject's "other or undefined" code.
const meanings: Record<number, { subject: string; details: Record<number, string> }> = {
  0: { subject: 'other or undefined status', details: { 0: 'other or undefined status' } },
  1: {
    subject: 'address',
    details: {
      0: 'other address status',
      1: 'bad destination mailbox address',
      2: 'bad destination system address',
      3: 'bad destination mailbox address syntax',
      4: 'destination mailbox address is ambiguous',
      5: 'destination address is valid',
      6: 'destination mailbox has moved, no forwarding address',
      7: "bad sender's mailbox address syntax",
      8: "bad sender's system address",
      9: 'message relayed to a mailer that does not report back',
      10: 'recipient address has a null MX: the domain takes no mail',
    },
  },
  2: {
    subject: 'mailbox',
    details: {
      0: 'other or undefined mailbox status',
      1: 'mailbox is disabled, not accepting messages',
      2: 'mailbox is full',
      3: 'message is longer than the mailbox accepts',
      4: 'mailing list could not be expanded',
    },
  },
  3: {
    subject: 'mail system',
    details: {
      0: 'other or undefined mail system status',
      1: 'mail system is full',
      2: 'system is not accepting network messages',
      3: 'system is not capable of the selected features',
      4: 'message is too big for the system',
      5: 'system is incorrectly configured',
      6: 'requested priority was changed',
    },
  },
  4: {
    subject: 'network and routing',
    details: {
      0: 'other or undefined network or routing status',
      1: 'no answer from host',
      2: 'bad connection',
      3: 'directory server failure',
      4: 'unable to route',
      5: 'mail system congestion',
      6: 'routing loop detected',
      7: 'delivery time expired',
    },
  },
  5: {
    subject: 'mail delivery protocol',
    details: {
      0: 'other or undefined protocol status',
      1: 'invalid command',
      2: 'syntax error',
      3: 'too many recipients',
      4: 'invalid command arguments',
      5: 'wrong protocol version',
      6: 'authentication exchange line is too long',
    },
  },
  6: {
    subject: 'message content or media',
    details: {
      0: 'other or undefined media error',
      1: 'media not supported',
      2: 'conversion required and prohibited',
      3: 'conversion required but not supported',
      4: 'conversion with loss performed',
      5: 'conversion failed',
      6: 'message content not available',
      7: 'addresses beyond ASCII are not permitted for this sender or recipient',
      8: 'a reply in UTF-8 is required, but the client does not permit it',
      9: 'UTF-8 header message cannot be transferred to one or more recipients',
      10: 'UTF-8 header message cannot be transferred',
    },
  },
  7: {
    subject: 'security or policy',
    details: {
      0: 'other or undefined security status',
      1: 'delivery not authorised, message refused',
      2: 'mailing list expansion prohibited',
      3: 'security conversion required but not possible',
      4: 'security features not supported',
      5: 'cryptographic failure',
      6: 'cryptographic algorithm not supported',
      7: 'message integrity failure',
      8: 'authentication credentials invalid',
      9: 'authentication mechanism is too weak',
      10: 'encryption needed',
      11: 'encryption required for the requested authentication mechanism',
      12: 'a password transition is needed',
      13: 'user account disabled',
      14: 'trust relationship required',
      15: 'priority level is too low',
      16: 'message is too big for the specified priority',
      17: 'mailbox owner has changed',
      18: 'domain owner has changed',
      19: 'recipient revalidation cannot be performed',
      20: 'no passing DKIM signature found',
      21: 'no acceptable DKIM signature found',
      22: 'no valid DKIM signature by the author found',
      23: 'SPF validation failed',
      24: 'SPF validation error',
      25: 'reverse DNS validation failed',
      26: 'multiple authentication checks failed',
      27: 'sender address has a null MX',
      28: 'mail flood detected',
      29: 'ARC validation failed',
      30: 'REQUIRETLS support required',
    },
  },
};

/** What the registry says of a code (class left aside), or of its subject when the detail isn't registered. Undefined for unknown subjects. */
export function meaningOfEnhancedCode(code: string | EnhancedCode): string | undefined {
  const parsed = typeof code === 'string' ? parseEnhancedCode(code) : code;
  if (parsed === undefined) return undefined;
  const entry = meanings[parsed.subject];
  if (entry === undefined) return undefined;
  return entry.details[parsed.detail] ?? `${entry.subject}: unregistered detail ${parsed.detail}`;
}
