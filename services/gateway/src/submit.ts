// A message that came by SMTP, handed over like one of POST /v1/messages: the same scopes, limits and checks, the same commit.

import { newId } from '@maildoot/runtime/ids';
import { askAgain } from './ask-again.ts';
import type { Principal } from './authentication.ts';
import { ApiError, apiErrorFrom, internalError, knownCode } from './errors.ts';
import type { Peers } from './peers.ts';
import { admit } from './permission.ts';
import type { RateLimits } from './rate-limits.ts';
import type { Operation } from './route.ts';
import { storedAnswer, takeOrReplay } from './stored-answer.ts';
import { readSubmission } from './submission.ts';

const acceptDeadlineMs = 15_000;
const maxNamed = 5;

export interface SubmitParts {
  readonly peers: Peers;
  readonly rateLimits: RateLimits;
  /** The operation that it stands for. */
  readonly route: Operation;
  readonly publicUrl: () => string;
}

/** What is answered behind the 250. @throws ApiError */
export async function submit(
  { peers, rateLimits, route, publicUrl }: SubmitParts,
  { raw, recipients, principal }: { raw: Buffer; recipients: readonly string[]; principal: Principal },
): Promise<string> {
  admit(principal, route);
  const headers = { limitHeaders: undefined };
  await rateLimits.takeRequest(principal, route, headers);
  const request = readSubmission({ raw, recipients, principal, linkUrl: publicUrl() });
  const options = { tenantId: principal.tenantId, requestId: newId('req') };
  const { unused, stored } = await takeOrReplay(
    () => rateLimits.takeMessages(principal, 1, headers),
    () => storedAnswer(request, peers, options),
  );
  let accepted = false;
  try {
    const response =
      stored ??
      (await askAgain((deadlineMs) => peers.messaging.acceptMessages(request, { ...options, deadlineMs }), {
        deadlineMs: acceptDeadlineMs,
      }));
    const result = response.results[0]?.result;
    if (result?.$case === 'error') {
      const { code, message, issues, retryAfterMs } = result.value;
      const known = knownCode(code);
      if (known === undefined) throw apiErrorFrom(new Error(`messaging answered ${code} for a message`));
      throw new ApiError(known, message, { issues, retryAfterMs: retryAfterMs || undefined });
    }
    if (result?.$case !== 'accepted') throw internalError(new Error('messaging answered without a result'));
    const isReplayed = response.replayed || response.results[0]?.replayed === true;
    accepted = !isReplayed;
    const suppressed = result.value.warnings.filter(({ code }) => code === 'RECIPIENT_SUPPRESSED').map(({ message }) => message);
    const more = suppressed.length > maxNamed ? ` and ${suppressed.length - maxNamed} more` : '';
    return asciiOf(`2.0.0 queued as ${[result.value.id, ...suppressed.slice(0, maxNamed)].join('; ')}${more}`);
  } finally {
    if (!accepted) unused(1);
  }
}

/** A reply is ASCII (RFC 5321 section 4.2); a character of an address that isn't is written as in RFC 6533 section 3. */
function asciiOf(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (character) => `\\x{${character.codePointAt(0)?.toString(16).toUpperCase()}}`);
}
