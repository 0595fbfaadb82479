// Asking a peer again that can't be reached. Of several processes of a service one may be gone, and calls that were in it are lost: another
// one answers the same question at once. When all are gone, or their database is, they are mostly back within a second, and a caller who
// waits half of one is better served than with a 503; longer than that nobody is kept. Only for calls that may be made twice.
import { setTimeout as delay } from 'node:timers/promises';
import { RpcError } from '@maildoot/rpc/errors';

/** Before each further try; the first comes at once, because the next process in turn takes it. */
const pausesMs = [0, 100, 200];
/** No pause goes beyond this, counted from the first try, so that a refusal comes within a second. */
const patienceMs = 400;
/** With less time left nobody could answer. */
const leastMs = 20;

export interface AskOptions {
  /** For all tries together. */
  readonly deadlineMs: number;
  /** Nobody waits any more. */
  readonly signal?: AbortSignal | undefined;
  /** Called before each further try. */
  readonly again?: () => void;
}

/**
 * The first answer. Rejects at once with anything that isn't the status UNAVAILABLE, else with that failure of all tries that asks for the
 * longest patience: one process gone and the other without its database is as long as the database takes. Who has too much to do is passed
 * over once; another one may have less to do.
 */
export async function askAgain<T>(ask: (deadlineMs: number) => Promise<T>, { deadlineMs, signal, again }: AskOptions): Promise<T> {
  const startedAtMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedAtMs;
  let failure: RpcError | undefined;
  for (let tries = 0; ; tries++) {
    try {
      return await ask(deadlineMs - elapsedMs());
    } catch (error) {
      if (!(error instanceof RpcError && error.status === 'UNAVAILABLE')) throw error;
      if (failure === undefined || (error.retryAfterMs ?? 0) >= (failure.retryAfterMs ?? 0)) failure = error;
      if (error.code !== 'UNAVAILABLE' && tries > 0) throw failure;
      // Those who were refused at the same moment don't come back at the same moment.
      const pauseMs = (pausesMs[tries] ?? Number.POSITIVE_INFINITY) * (0.75 + Math.random() / 4);
      if (pauseMs > 0 && elapsedMs() + pauseMs > patienceMs) throw failure;
      if (signal?.aborted || elapsedMs() + pauseMs + leastMs > deadlineMs) throw failure;
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => Promise.reject(failure));
      again?.();
    }
  }
}

type Method = (
  request: never,
  options?: { readonly deadlineMs?: number | undefined; readonly signal?: AbortSignal | undefined },
) => Promise<unknown>;

/** The client with these of its methods asking again: those that change nothing. */
export function rereading<C extends object>(client: C, names: readonly (keyof C & string)[], defaultDeadlineMs: number): C {
  const methods = names.map((name): [string, Method] => {
    const method = client[name] as Method;
    return [
      name,
      (request, options) =>
        askAgain((deadlineMs) => method(request, { ...options, deadlineMs }), {
          deadlineMs: options?.deadlineMs ?? defaultDeadlineMs,
          signal: options?.signal,
        }),
    ];
  });
  return { ...client, ...Object.fromEntries(methods) };
}
