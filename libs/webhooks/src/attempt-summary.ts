// An attempt in a sentence, for people who read a timeline.
import { type AttemptRecordedEvent, Outcome, type SmtpSession } from '@maildoot/proto/maildoot/delivery/v1/events';

export function describeAttempt(attempt: AttemptRecordedEvent): string {
  const { session, bounce, nextAttemptAt } = attempt;
  const reason = answerOf(session) ?? bounce?.diagnostic.replace(/^[a-z-]+; */i, '') ?? 'no reason was given';
  const next = nextAttemptAt === undefined ? '' : ` The next attempt is at ${nextAttemptAt.toISOString()}.`;
  const twice = attempt.possibleDuplicate ? ' How an earlier attempt ended is not known, so the recipient may get the message twice.' : '';
  switch (attempt.outcome) {
    case Outcome.OUTCOME_DELIVERED:
      return `${serverOf(session)} took the message ${session?.tlsVersion ? `over ${session.tlsVersion}` : 'without encryption'}${milliseconds(attempt)}: ${wordsOf(session) || 'accepted'}.${twice}`;
    case Outcome.OUTCOME_DEFERRED:
      return `Not now: ${reason}.${next}${twice}`;
    case Outcome.OUTCOME_BOUNCED:
      // Of no attempt: the session in which it was handed over had ended well.
      return attempt.attempt === 0 && session === undefined
        ? `Taken at first, it came back later: ${reason}.`
        : `Refused for good: ${reason}.${twice}`;
    case Outcome.OUTCOME_FAILED:
      return `Given up: ${reason}.${twice}`;
    case Outcome.OUTCOME_INTERRUPTED:
      return `The attempt was interrupted; whether ${serverOf(session)} took the message is not known.${next}`;
    case Outcome.OUTCOME_CANCELLED:
      return 'Cancelled before it was handed over.';
    case Outcome.OUTCOME_SUPPRESSED:
      return 'Not sent: the address came onto the suppression list after the message was accepted.';
    default:
      return 'An outcome that this version does not know.';
  }
}

function serverOf(session: SmtpSession | undefined): string {
  return session?.host || session?.remoteAddress || 'the server';
}

/** Undefined: the attempt did not get as far as an answer. */
function answerOf(session: SmtpSession | undefined): string | undefined {
  const words = wordsOf(session);
  if (session === undefined || words === '') return undefined;
  return `${serverOf(session)} answered${session.command ? ` ${session.command}` : ''} with ${words}`;
}

/** `450 4.2.0 greylisted`, without what stands twice: many replies repeat their codes. */
function wordsOf(session: SmtpSession | undefined): string {
  if (session === undefined) return '';
  const { replyCode, enhancedCode } = session;
  let reply = session.reply.replaceAll('\n', ' ').trim();
  if (replyCode > 0 && reply.startsWith(`${replyCode} `)) reply = reply.slice(4);
  if (enhancedCode !== '' && reply.startsWith(`${enhancedCode} `)) reply = reply.slice(enhancedCode.length + 1);
  return [replyCode > 0 ? String(replyCode) : '', enhancedCode, reply]
    .filter((part) => part !== '')
    .join(' ')
    .replace(/\.$/, '');
}

function milliseconds({ startedAt, finishedAt }: AttemptRecordedEvent): string {
  return startedAt && finishedAt ? ` in ${Math.max(0, finishedAt.getTime() - startedAt.getTime())} ms` : '';
}
