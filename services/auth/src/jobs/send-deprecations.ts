// Writes to the owners of keys that call operations of the API that will go: once for each key and operation, and until messaging has taken it.
import type { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import type { RpcClient } from '@maildoot/rpc/client';
import { RpcError } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import { type Repeating, repeat } from '@maildoot/runtime/repeat';
import type { DeprecationNotice, Deprecations } from '../store/deprecations.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 30_000;
const atOnce = 20;
const firstPauseMs = 10_000;
const longestPauseMs = 30 * 60_000;

export interface SendDeprecationsParts {
  deprecations: Deprecations;
  clock: Clock;
  /** Undefined: there is nobody who sends; notices wait. */
  messaging: Pick<RpcClient<typeof NoticeServiceService>, 'sendNotice'> | undefined;
  logger: Logger;
}

export function startSendingDeprecations(parts: SendDeprecationsParts): Repeating {
  const { clock, logger } = parts;
  return repeat({ everyMs, clock, run: () => sendDue(parts), onFailure: (error) => telemetry.noticesNotSent(logger, error) });
}

async function sendDue({ deprecations, clock, messaging, logger }: SendDeprecationsParts): Promise<void> {
  if (messaging === undefined) return;
  const now = clock.now();
  for (const notice of await deprecations.claim(atOnce, now, new Date(now.getTime() + longestPauseMs))) {
    try {
      for (const to of notice.owners) await send(messaging, notice, to);
    } catch (error) {
      telemetry.noticesNotSent(logger, error);
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(20, notice.tries - 1));
      await deprecations.postpone(notice, new Date(now.getTime() + pauseMs));
      continue;
    }
    await deprecations.taken(notice);
  }
}

async function send(messaging: NonNullable<SendDeprecationsParts['messaging']>, notice: DeprecationNotice, to: string): Promise<void> {
  const { apiKeyId, operationId } = notice;
  // The same to the same owner again, when the one after it wasn't taken.
  const idempotencyKey = `deprecation ${uuidToId('key', apiKeyId)} ${operationId} ${to}`;
  try {
    await messaging.sendNotice({ kind: 'deprecation', to, ...textOf(notice), idempotencyKey });
  } catch (error) {
    // Taken before, in other words.
    if (!(error instanceof RpcError && error.code === 'IDEMPOTENCY_MISMATCH')) throw error;
  }
}

function textOf({ operation, meaning, docsUrl, keyName, keyPrefix }: DeprecationNotice): { subject: string; text: string } {
  return {
    subject: `${operation} is deprecated, and your API key “${keyName}” calls it`,
    text: [
      `Your API key “${keyName}” (${keyPrefix}…) calls ${operation}.`,
      '',
      meaning.replaceAll('`', ''),
      '',
      `What the reference says: ${docsUrl}`,
      '',
      'Nothing changes before that day. You get this mail once for each key and operation.',
      '',
    ].join('\n'),
  };
}
