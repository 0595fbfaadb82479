import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseReply, type SmtpReply } from '@maildoot/mail/reply';
import { BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';
import fc from 'fast-check';
import { classify, type Stage, type Trouble } from './classify.ts';

type Expected = 'bounce' | 'later' | 'later, next host' | 'bounce, next host' | 'ours, later' | 'ours, for good';
type ClassName = keyof typeof BounceClass extends `BOUNCE_CLASS_${infer Name}` ? Lowercase<Name> : never;

// stage, what the server said, what it means, whose fault, why.
const replies: [Stage, string, Expected, ClassName, string][] = [
  ['rcpt', '550 5.1.1 user unknown', 'bounce', 'recipient', 'the plain case'],
  ['rcpt', '550 no such user here', 'bounce', 'recipient', 'without enhanced code, 550 to RCPT is about the mailbox'],
  ['rcpt', '550 5.1.10 null MX', 'bounce', 'dns', 'RFC 7505: the domain takes no mail'],
  ['rcpt', '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found', 'bounce', 'recipient', 'how Microsoft says that nobody is there'],
  ['rcpt', '550 5.4.1 Recipient address rejected: Access denied', 'bounce', 'recipient', 'how Microsoft says that nobody is there'],
  ['rcpt', '550 5.2.1 mailbox disabled', 'bounce', 'recipient', 'the mailbox is closed for good'],
  ['rcpt', '553 mailbox name not allowed', 'bounce', 'recipient', 'RFC 5321: the name is not one of theirs'],
  ['rcpt', '551 user not local', 'bounce', 'recipient', 'moved, and we do not forward by hint'],
  ['rcpt', '552 5.2.2 mailbox full', 'bounce', 'mailbox_full', 'a 5yz is for good, whatever the reason'],
  ['rcpt', '452 4.2.2 mailbox full', 'later', 'mailbox_full', 'people empty mailboxes'],
  ['rcpt', '450 mailbox over quota', 'later', 'mailbox_full', 'only the words say it'],
  ['rcpt', '552 5.5.3 too many recipients', 'later', 'rate_limited', 'RFC 5321 section 4.5.3.1.10: an old way to say 452'],
  ['rcpt', '452 4.5.3 too many recipients', 'later', 'rate_limited', 'the others go in the next transaction'],
  ['rcpt', '451 4.7.1 greylisted, try again', 'later', 'policy', 'greylisting'],
  ['rcpt', '450 Greylisted for 60 seconds', 'later', 'policy', 'greylisting without a code'],
  ['rcpt', '451 4.3.0 try again later', 'later', 'other', 'their system, their day'],
  ['rcpt', '450 mailbox unavailable', 'later', 'recipient', 'busy or blocked mailbox'],
  ['rcpt', '554 5.7.1 relay access denied', 'bounce', 'policy', 'not their domain, or not us'],
  [
    'rcpt',
    '550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org',
    'bounce',
    'reputation',
    'a block list, by its name',
  ],
  ['rcpt', '554 your IP is on our blocklist', 'bounce', 'reputation', 'a block list, by the word'],
  ['rcpt', '550 5.7.26 unauthenticated sender', 'bounce', 'policy', 'DMARC at the large receivers'],
  ['rcpt', '450 4.7.28 unusual rate of mail', 'later', 'rate_limited', 'too fast for them'],
  ['rcpt', '421 4.7.0 too many messages, closing', 'later, next host', 'rate_limited', '421 ends the session, whatever it answers'],
  ['rcpt', '550 4.4.2 contradictory', 'bounce', 'network', 'the reply code rules over the class digit'],
  ['rcpt', '501 5.1.3 bad address syntax', 'bounce', 'recipient', 'the address is the trouble'],
  ['rcpt', '503 bad sequence', 'bounce', 'protocol', 'nobody’s mailbox is at fault'],
  ['rcpt', '556 domain does not accept mail', 'bounce', 'dns', 'RFC 7504'],
  ['mail', '550 5.1.8 sender domain does not exist', 'bounce', 'policy', 'about the sender'],
  ['mail', '550 5.1.1 unknown', 'bounce', 'policy', 'no recipient was named yet, so it can’t be one'],
  ['mail', '552 5.3.4 message too big', 'bounce', 'message_too_large', 'by the announced SIZE'],
  ['mail', '554 5.7.1 sender refused', 'bounce', 'policy', 'they don’t want mail of this sender'],
  ['mail', '452 4.3.1 out of space', 'later', 'other', 'their disk'],
  ['mail', '421 closing', 'later, next host', 'other', '421 ends the session'],
  ['mail', '530 5.7.0 authentication required', 'ours, later', 'infrastructure', 'an operator forgot to say who we are'],
  ['greeting', '554 no SMTP service here', 'later, next host', 'policy', '5yz this early is about us or the host, not about a recipient'],
  ['greeting', '554 5.7.1 blocked by reputation', 'later, next host', 'reputation', 'an address that can be cleared'],
  ['greeting', '421 too many connections', 'later, next host', 'rate_limited', 'a busy host'],
  ['greeting', '521 host takes no mail', 'bounce, next host', 'dns', 'RFC 7504: this one never will; another may'],
  ['ehlo', '550 bad name', 'later, next host', 'policy', 'they don’t like our name'],
  ['auth', '535 5.7.8 wrong password', 'ours, later', 'infrastructure', 'our own inbox, our own word'],
  ['data', '451 4.3.0 busy', 'later', 'other', 'nothing was sent yet'],
  ['data', '554 no valid recipients', 'bounce', 'content', 'refused before the message'],
  ['dot', '550 5.7.1 message content rejected', 'bounce', 'policy', 'policy, by the code'],
  ['dot', '554 this looks like spam', 'bounce', 'content', 'content, by the words'],
  ['dot', '550 5.6.0 malformed', 'bounce', 'content', 'content, by the code'],
  ['dot', '550 5.6.9 next hop lacks SMTPUTF8', 'bounce', 'non_ascii_address', 'the header’s addresses, by the code'],
  ['dot', '552 too much data', 'bounce', 'message_too_large', 'after the dot, 552 is about size'],
  ['dot', '452 4.2.2 over quota', 'later', 'mailbox_full', 'some say it only here'],
  ['dot', '550 5.1.1 user unknown', 'bounce', 'recipient', 'some look only here'],
  ['dot', '421 shutting down', 'later', 'other', 'said no, so it is known that it did not take it'],
];

describe('classify a reply', () => {
  for (const [stage, said, expected, bounceClass, why] of replies) {
    it(`${stage}: ${said} (${why})`, () => {
      const verdict = classify({ kind: 'reply', stage, reply: replyOf(said) });
      assert.equal(describeVerdict(verdict), expected);
      assert.equal(className(verdict.class), bounceClass);
      assert.equal(verdict.diagnostic, `smtp; ${said}`);
      assert.equal(verdict.unknown, false);
    });
  }
});

const others: [Trouble, Expected, ClassName, boolean, string][] = [
  [{ kind: 'lost', stage: 'connect', detail: 'refused' }, 'later, next host', 'network', false, 'a host that is down'],
  [{ kind: 'lost', stage: 'mail', detail: 'x' }, 'later, next host', 'network', false, 'nothing was handed over'],
  [{ kind: 'lost', stage: 'body', detail: 'x' }, 'later', 'network', false, 'without the dot it is no message'],
  [{ kind: 'lost', stage: 'dot', detail: 'x' }, 'later', 'network', true, 'it may have been taken'],
  [{ kind: 'timeout', stage: 'dot', detail: 'x' }, 'later', 'network', true, 'it may have been taken'],
  [{ kind: 'protocol', stage: 'dot', detail: 'x' }, 'later', 'protocol', true, 'whatever that was, it was no refusal'],
  [{ kind: 'protocol', stage: 'greeting', detail: 'x' }, 'later, next host', 'protocol', false, 'no mail host'],
  [{ kind: 'tls', stage: 'starttls', detail: 'x' }, 'later, next host', 'tls', false, 'in clear was tried before this'],
  [{ kind: 'no_address', detail: 'x' }, 'bounce, next host', 'dns', false, 'an MX that names nothing'],
  [{ kind: 'refused_address', detail: 'x' }, 'bounce, next host', 'dns', false, 'an MX on a private network'],
  [{ kind: 'dns_unavailable', detail: 'x' }, 'later, next host', 'dns', false, 'nobody answered, which says nothing'],
  [{ kind: 'no_such_domain', detail: 'x' }, 'bounce', 'dns', false, 'it does not exist'],
  [{ kind: 'null_mx', detail: 'x' }, 'bounce', 'dns', false, 'it says so itself'],
  [{ kind: 'too_large', detail: 'x' }, 'bounce', 'message_too_large', false, 'it will not shrink'],
  [{ kind: 'no_smtputf8', whose: 'recipient', detail: 'x' }, 'bounce, next host', 'protocol', false, 'it can’t be said there'],
  [{ kind: 'no_smtputf8', whose: 'sender', detail: 'x' }, 'bounce, next host', 'non_ascii_address', false, 'the sender may choose another'],
  [{ kind: 'content_unavailable', detail: 'x' }, 'ours, later', 'infrastructure', false, 'messaging is away'],
  [{ kind: 'no_signing_key', detail: 'x' }, 'ours, later', 'infrastructure', false, 'rather late than unsigned'],
  [{ kind: 'content_missing', detail: 'x' }, 'ours, for good', 'infrastructure', false, 'there is nothing to send'],
];

describe('classify what no server said', () => {
  for (const [trouble, expected, bounceClass, unknown, why] of others) {
    it(`${trouble.kind}${'stage' in trouble ? ` at ${trouble.stage}` : ''} (${why})`, () => {
      const verdict = classify(trouble);
      assert.equal(describeVerdict(verdict), expected);
      assert.equal(className(verdict.class), bounceClass);
      assert.equal(verdict.unknown, unknown);
      assert.match(verdict.diagnostic, /^x-maildoot; /);
    });
  }
});

it('never blames a recipient before RCPT, and never tries another host once the message was handed over', () => {
  const stages: Stage[] = ['connect', 'greeting', 'ehlo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'body', 'dot'];
  fc.assert(
    fc.property(
      fc.constantFrom(...stages),
      fc.integer({ min: 400, max: 599 }),
      fc.nat(9),
      fc.nat(30),
      fc.string(),
      (stage, code, subject, detail, words) => {
        const reply: SmtpReply = {
          code,
          severity: code < 500 ? 'transient' : 'permanent',
          enhancedCode: `${Math.floor(code / 100)}.${subject}.${detail}`,
          lines: [words],
          verbatim: `${code} ${words}`,
        };
        const verdict = classify({ kind: 'reply', stage, reply });
        if (stages.indexOf(stage) < stages.indexOf('rcpt')) {
          assert.notEqual(verdict.class, BounceClass.BOUNCE_CLASS_RECIPIENT);
          assert.notEqual(verdict.class, BounceClass.BOUNCE_CLASS_MAILBOX_FULL);
        }
        if (stage === 'body' || stage === 'dot') assert.equal(verdict.nextHost, false);
        if (code < 500) assert.equal(verdict.permanent, false);
        assert.equal(verdict.type === BounceType.BOUNCE_TYPE_PERMANENT, verdict.permanent);
      },
    ),
  );
});

function describeVerdict({ permanent, nextHost, ours }: ReturnType<typeof classify>): string {
  if (ours) return permanent ? 'ours, for good' : 'ours, later';
  return `${permanent ? 'bounce' : 'later'}${nextHost ? ', next host' : ''}`;
}

function className(value: BounceClass): string {
  return (Object.entries(BounceClass).find(([, number]) => number === value)?.[0] ?? '').slice('BOUNCE_CLASS_'.length).toLowerCase();
}

function replyOf(text: string): SmtpReply {
  const parsed = parseReply(text);
  assert.ok(parsed.ok);
  return parsed.reply;
}
