// What every door that takes an idempotency key does with it: reading it, and saying what came of a request that arrived before. The records
// themselves are idempotency.ts.

/** What makes a request the same as an earlier one. */
export interface Repeatable {
  key: string;
  requestHash: Uint8Array;
}

/** An idempotency key as a call carries it. */
export interface WithIdempotencyKey {
  /** Empty where there is none. */
  idempotencyKey: string;
  /** SHA-256 over what is asked. */
  requestSha256: Uint8Array;
}

/** A request that is not ours to carry out: it was, it is another, or it is being carried out. */
export type Repeated = { outcome: 'replay'; response: Buffer } | { outcome: 'mismatch' } | { outcome: 'in_progress' };

/** The service's own, of its closed list. */
interface RepeatErrors {
  VALIDATION_ERROR(options: { message: string; issues: { path: string; code: string; message: string }[] }): Error;
  IDEMPOTENCY_MISMATCH(options: { message: string }): Error;
  IDEMPOTENCY_IN_PROGRESS(options: { message: string; retryAfterMs: number }): Error;
}

const maxKeyChars = 255;
const tryAgainAfterMs = 1000;

export function repeatableWith(errors: RepeatErrors) {
  return {
    /** Undefined where the request is not to be remembered. Throws VALIDATION_ERROR. */
    repeatableOf({ idempotencyKey: key, requestSha256: requestHash }: WithIdempotencyKey): Repeatable | undefined {
      if (key === '') return undefined;
      if (key.length > maxKeyChars || /\p{Cc}/u.test(key)) {
        const message = `At most ${maxKeyChars} characters, none of them a control character.`;
        throw errors.VALIDATION_ERROR({
          message: 'The idempotency key can’t be used.',
          issues: [{ path: 'Idempotency-Key', code: 'invalid_value', message }],
        });
      }
      if (requestHash.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
      return { key, requestHash };
    },

    /** The answer that was given. Throws IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_PROGRESS. */
    storedAnswer(repeated: Repeated): Buffer {
      switch (repeated.outcome) {
        case 'replay':
          return repeated.response;
        case 'mismatch':
          throw errors.IDEMPOTENCY_MISMATCH({
            message: 'This idempotency key was used with another request. Use a new one for a new request.',
          });
        case 'in_progress':
          throw errors.IDEMPOTENCY_IN_PROGRESS({
            message: 'The first request with this idempotency key is still running. Try again shortly.',
            retryAfterMs: tryAgainAfterMs,
          });
        default:
          return repeated satisfies never;
      }
    },
  };
}
