// Sends what people are to be told: links to a password. Kept in our own table until messaging has taken it. The link is made here, a new one at
// each try, so that none rests anywhere but in the mail; a wish about an address without an account ends here, unseen.
import type { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import type { RpcClient } from '@maildoot/rpc/client';
import { RpcError } from '@maildoot/rpc/errors';
import type { Logger } from '@maildoot/runtime/logger';
import { type Repeating, repeat } from '@maildoot/runtime/repeat';
import { linkLifetimeMs, makeLink } from '../passwords.ts';
import type { SessionParts } from '../sessions.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 5_000;
const atOnce = 20;
const firstPauseMs = 10_000;
const longestPauseMs = 30 * 60_000;
/** After that nobody waits for the mail any more. */
const givenUpAfterMs = 24 * 60 * 60_000;

export interface SendNoticesParts extends Pick<SessionParts, 'people' | 'clock'> {
  /** Undefined: there is nobody who sends; notices wait. */
  messaging: Pick<RpcClient<typeof NoticeServiceService>, 'sendNotice'> | undefined;
  logger: Logger;
}

export function startSendingNotices(parts: SendNoticesParts): Repeating {
  const { clock, logger } = parts;
  return repeat({ everyMs, clock, run: () => sendDue(parts), onFailure: (error) => telemetry.noticesNotSent(logger, error) });
}

async function sendDue({ people, clock, messaging, logger }: SendNoticesParts): Promise<void> {
  if (messaging === undefined) return;
  const now = clock.now();
  for (const notice of await people.claimNotices(atOnce, now, new Date(now.getTime() + firstPauseMs))) {
    const user = await people.userByEmail(notice.emailFolded);
    if (user === undefined || (notice.kind === 'invitation' && user.passwordHash !== null)) {
      await people.deleteNotice(notice.id);
      continue;
    }
    const text =
      notice.kind === 'invitation_elsewhere'
        ? elsewhere(user.email)
        : textOf(notice.kind, notice.publicUrl, user.email, (await makeLink({ people, clock }, user, notice.kind)).token);
    try {
      await messaging.sendNotice({ kind: notice.kind, to: user.email, ...text, idempotencyKey: notice.id });
    } catch (error) {
      // The same notice with another link in it: the first one was taken, and its answer was lost.
      if (!(error instanceof RpcError && error.code === 'IDEMPOTENCY_MISMATCH')) {
        telemetry.noticesNotSent(logger, error);
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(20, notice.tries));
        if (now.getTime() - notice.createdAt.getTime() < givenUpAfterMs) {
          await people.postponeNotice(notice.id, new Date(now.getTime() + pauseMs));
          continue;
        }
      }
    }
    await people.deleteNotice(notice.id);
  }
}

/** Without a link: there is nothing here that they could set a password for. */
function elsewhere(email: string): { subject: string; text: string } {
  return {
    subject: 'You are invited to Maildoot',
    text: `You are invited to use Maildoot as ${email}, which is a member of another account here. Nobody is a member of two.\n\nTo accept, give whoever invited you another address. Or have yourself removed from the other account; then ask whoever invited you to remove you and invite you again.\n\nIf you did not expect this, ignore it: nothing changes.\n`,
  };
}

function textOf(kind: 'password_reset' | 'invitation', publicUrl: string, email: string, token: string): { subject: string; text: string } {
  const link = `${publicUrl}/password#token=${token}`;
  const hours = linkLifetimeMs[kind] / 3_600_000;
  const lasts = hours === 1 ? 'an hour' : `${hours / 24} days`;
  if (kind === 'invitation') {
    return {
      subject: 'You are invited to Maildoot',
      text: `You are invited to use Maildoot as ${email}.\n\nChoose your password here; the link works once, for ${lasts}:\n\n${link}\n\nIf you did not expect this, ignore it.\n`,
    };
  }
  return {
    subject: 'Your Maildoot password',
    text: `Somebody, you we hope, asked for a new password for ${email}.\n\nChoose it here; the link works once, for ${lasts}:\n\n${link}\n\nIf it was not you, ignore this mail: nothing changes.\n`,
  };
}
