// Where a recipient stands, for people: why, whose turn it is, what to do, and when the next attempt is.
import { type AttemptRecordedEvent, type Bounce, BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';
import { RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { timeJson } from './time-json.ts';

export const actors = ['nobody', 'you', 'recipient', 'receiver', 'operator'] as const;
export type Actor = (typeof actors)[number];

export interface ExplanationJson {
  cause: string;
  who_must_act: Actor;
  action: string;
  next_retry_at: string | null;
}

export interface Explained {
  readonly status: RecipientStatus;
  readonly bounce: Bounce | undefined;
  /** The last one that is known. */
  readonly attempt: AttemptRecordedEvent | undefined;
  readonly nextAttemptAt: Date | undefined;
  /** The account is, at this moment: nothing of it leaves the queue. */
  readonly suspended?: boolean;
}

const waitsInQueue: ReadonlySet<RecipientStatus> = new Set([
  RecipientStatus.RECIPIENT_STATUS_SCHEDULED,
  RecipientStatus.RECIPIENT_STATUS_QUEUED,
  RecipientStatus.RECIPIENT_STATUS_DEFERRED,
]);

export function explain({ status, bounce: kept, attempt, nextAttemptAt, suspended = false }: Explained): ExplanationJson {
  const bounce = kept ?? attempt?.bounce;
  if (suspended && waitsInQueue.has(status)) {
    return done(
      'operator',
      'The account is suspended: what is queued stays in the queue.',
      'Ask whoever operates this installation. When the account is released, it goes on by itself.',
    );
  }
  switch (status) {
    case RecipientStatus.RECIPIENT_STATUS_SCHEDULED:
      return waiting('It waits for its `send_at`.', nextAttemptAt);
    case RecipientStatus.RECIPIENT_STATUS_QUEUED:
      return waiting('It waits for its first attempt.', nextAttemptAt);
    case RecipientStatus.RECIPIENT_STATUS_SENDING:
      return waiting('An attempt is under way.', nextAttemptAt);
    case RecipientStatus.RECIPIENT_STATUS_DEFERRED:
      return waiting(`The last attempt failed for now. ${causeOf(bounce)}`, nextAttemptAt);
    case RecipientStatus.RECIPIENT_STATUS_DELIVERED:
      return done('nobody', 'The recipient’s server took the message.', 'Nothing is left to do.');
    case RecipientStatus.RECIPIENT_STATUS_BOUNCED:
      return final(causeOf(bounce), bounce);
    case RecipientStatus.RECIPIENT_STATUS_FAILED:
      return final(`It was given up. ${causeOf(bounce)}`, bounce);
    case RecipientStatus.RECIPIENT_STATUS_SUPPRESSED:
      return done(
        'you',
        'The address is on your suppression list.',
        'Send no more to it; take it off the list only if the recipient wants your mail.',
      );
    case RecipientStatus.RECIPIENT_STATUS_CANCELLED:
      return done('nobody', 'It was cancelled before it was handed over.', 'Nothing is left to do.');
    default:
      return done('nobody', 'It is in a state that this version does not know.', 'Nothing that is known of.');
  }
}

function waiting(cause: string, nextAttemptAt: Date | undefined): ExplanationJson {
  return { cause, who_must_act: 'nobody', action: 'Wait: it goes on by itself.', next_retry_at: timeJson(nextAttemptAt) };
}

function done(who: Actor, cause: string, action: string): ExplanationJson {
  return { cause, who_must_act: who, action, next_retry_at: null };
}

function final(cause: string, bounce: Bounce | undefined): ExplanationJson {
  const { who, action } = reasonOf(bounce);
  const unknown = bounce?.type === BounceType.BOUNCE_TYPE_UNDETERMINED;
  return done(
    who,
    cause,
    unknown ? `Whether the server took it is not known: ask the recipient before you send it again. ${action}` : action,
  );
}

function causeOf(bounce: Bounce | undefined): string {
  const words = bounce?.diagnostic.replace(/^[a-z-]+; */i, '').replace(/\.$/, '') ?? '';
  return `${reasonOf(bounce).cause}${words === '' ? '' : `: ${words}`}.`;
}

interface Reason {
  readonly who: Actor;
  readonly cause: string;
  readonly action: string;
}

function reasonOf(bounce: Bounce | undefined): Reason {
  return reasons[bounce?.class ?? BounceClass.BOUNCE_CLASS_UNSPECIFIED] ?? other;
}

const other: Reason = {
  who: 'you',
  cause: 'The reason fits no class',
  action: 'Read the server’s reply in the attempts, and send it again when what it names is mended.',
};

const reasons: Partial<Record<BounceClass, Reason>> = {
  [BounceClass.BOUNCE_CLASS_RECIPIENT]: {
    who: 'recipient',
    cause: 'There is no such mailbox, or it takes no mail',
    action: 'Ask the recipient for the right address, and take this one off your lists.',
  },
  [BounceClass.BOUNCE_CLASS_MAILBOX_FULL]: {
    who: 'recipient',
    cause: 'The mailbox is full',
    action: 'The recipient has to make room; send it again then.',
  },
  [BounceClass.BOUNCE_CLASS_POLICY]: {
    who: 'you',
    cause: 'The receiving side does not want it, by a rule of its own',
    action: 'Do what the reply asks for (often SPF, DKIM and DMARC of your domain), then send it again.',
  },
  [BounceClass.BOUNCE_CLASS_CONTENT]: {
    who: 'you',
    cause: 'The content was refused',
    action: 'Change the links, attachments or words of the message, then send it again.',
  },
  [BounceClass.BOUNCE_CLASS_REPUTATION]: {
    who: 'you',
    cause: 'A block list names the sending address or domain, or the receiving side thinks badly of it',
    action: 'Send only to people who asked for it, and have the listing that the reply names removed.',
  },
  [BounceClass.BOUNCE_CLASS_MESSAGE_TOO_LARGE]: {
    who: 'you',
    cause: 'The message is larger than the receiving side takes',
    action: 'Put large attachments behind a link, then send it again.',
  },
  [BounceClass.BOUNCE_CLASS_RATE_LIMITED]: {
    who: 'you',
    cause: 'It was too much at a time for the receiving side',
    action: 'Send to this receiver more slowly.',
  },
  [BounceClass.BOUNCE_CLASS_DNS]: {
    who: 'receiver',
    cause: 'The domain or its mail servers can’t be looked up, don’t exist, or take no mail',
    action: 'Look for a typing mistake in the domain; if there is none, whoever runs it has to mend its DNS.',
  },
  [BounceClass.BOUNCE_CLASS_TLS]: {
    who: 'receiver',
    cause: 'There was no encryption as it has to be',
    action: 'Whoever runs the receiving server has to mend its TLS or its certificate.',
  },
  [BounceClass.BOUNCE_CLASS_NETWORK]: {
    who: 'receiver',
    cause: 'There was no connection to the receiving server, or it broke',
    action: 'Whoever runs the receiving server has to make it reachable; send it again then.',
  },
  [BounceClass.BOUNCE_CLASS_PROTOCOL]: {
    who: 'receiver',
    cause: 'The two servers did not understand each other’s SMTP',
    action: 'Whoever runs the receiving server has to look at the replies in the attempts.',
  },
  [BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS]: {
    who: 'you',
    cause: 'The receiving side does not take mail with such an address as its sender or in its header',
    action: 'Use ASCII addresses in From, Sender, Reply-To, To and Cc for this recipient’s server, then send it again.',
  },
  [BounceClass.BOUNCE_CLASS_INFRASTRUCTURE]: {
    who: 'operator',
    cause: 'It was the sending platform’s own fault',
    action: 'Whoever runs this installation has to mend it; the address is not to blame.',
  },
};
