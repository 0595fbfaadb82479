// Listens to auth for revoked keys, so that one stops within milliseconds. While nobody can be listened to, what the authenticator
// remembers is good for its 3 s and no longer; after a pause everything it remembers is forgotten, because a revocation may have been
// missed. Any process of auth will do: each knows of all revocations.
import { setTimeout as delay } from 'node:timers/promises';
import type { WatchRevocationsResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import { RpcError } from '@maildoot/rpc/errors';
import type { Logger } from '@maildoot/runtime/logger';
import type { Authenticator } from './authentication.ts';
import { telemetry } from './telemetry.ts';

/** A stream must have an end; the next one costs every key one question. */
export const watchDeadlineMs = 3_600_000;
// Connections to auth have a longest age; a stream that ends at this one is no news. If the next can't be opened, that is.
const oldMs = 60_000;
const firstPauseMs = 50;
const longestPauseMs = 2000;

export interface RevocationsParts {
  /** Opens a stream to auth. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<WatchRevocationsResponse>;
  /** `forget` concerns everything that is known of credentials. */
  readonly authenticator: Pick<Authenticator, 'revoked' | 'forget'>;
  readonly logger: Logger;
}

/** Until it is disposed of. */
export function followRevocations({ watch, authenticator, logger }: RevocationsParts): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function follow(): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const openedAtMs = performance.now();
      try {
        for await (const { keySha256, missed } of watch(signal)) {
          // Nothing was heard between two streams, nor by auth while it could not hear its database.
          if (missed) authenticator.forget();
          for (const key of keySha256) authenticator.revoked(key);
          telemetry.revocationsHeard(keySha256.length, missed);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        telemetry.revocationsLost(logger, error, isExpected(error) || performance.now() - openedAtMs > oldMs);
      }
      await delay(Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(() => undefined);
    }
  }

  const following = follow();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await following;
    },
  };
}

/** Its time was over. */
function isExpected(error: unknown): boolean {
  return error instanceof RpcError && error.code === 'TIMEOUT';
}
