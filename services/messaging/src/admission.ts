// More than can be worked on is refused at once. Requests wait for the commit in the order in which they came; when the queue is longer than
// callers wait, everything that is worked on has been given up already, and the service does nothing of use until the rush is over.
import { databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { errors } from './errors.ts';

/** As old as the oldest small request in work may be while others are let in. A commit takes milliseconds. */
const patienceMs = 1_000;
/** With fewer in work it is not a queue: something has stopped, and may go on. */
const fewest = 100;

export class Admission {
  readonly #nowMs: () => number;
  // In the order of their coming.
  readonly #inWork = new Set<{ sinceMs: number }>();

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /**
   * Keep the result until the request has its answer. How long small ones take says whether there is too much; large ones take their time.
   * @throws RpcError OVERLOADED
   */
  enter(small: boolean): Disposable {
    const now = this.#nowMs();
    if (this.#inWork.size >= fewest) {
      const [oldest] = this.#inWork;
      if (oldest !== undefined && now - oldest.sinceMs > patienceMs) {
        throw errors.OVERLOADED({
          message: 'More is being accepted than can be kept at the moment. Try again shortly.',
          // It may be that the database stands still, and not the rush; and a rush is over sooner when nobody comes back at once.
          retryAfterMs: databaseAwayRetryAfterMs,
        });
      }
    }
    const mine = { sinceMs: now };
    if (small) this.#inWork.add(mine);
    return { [Symbol.dispose]: () => this.#inWork.delete(mine) };
  }
}
