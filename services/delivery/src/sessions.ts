// Open sessions between two transactions: kept for a few seconds, reused by the next one to the same host, never more than the destination
// may have, closed when they have carried their share of messages.
import type { Session } from './session.ts';

export interface SessionsOptions {
  messagesPerSession: number;
  maxSessions: number;
  maxSessionsPerDestination: number;
  /** How long an idle one is kept. */
  idleMs: number;
}

interface Parked {
  session: Session;
  destination: string;
  timer: NodeJS.Timeout;
}

export class Sessions {
  readonly #options: SessionsOptions;
  // By host and user, the most recently used last.
  readonly #idle = new Map<string, Parked[]>();
  // Two destinations may share a host; a session counts for the one that opened it until it is gone.
  readonly #openedFor = new WeakMap<Session, string>();
  readonly #openByDestination = new Map<string, number>();
  #open = 0;
  #closed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** An idle session with this key, if there is one. It counts as open until it is given back or dropped. */
  take(key: string): Session | undefined {
    const parked = this.#idle.get(key)?.at(-1);
    if (parked === undefined) return undefined;
    this.#unpark(key, parked);
    return parked.session;
  }

  has(key: string): boolean {
    return this.#idle.has(key);
  }

  /** Before a session is opened: makes room by closing idle ones, so that open ones stay within the limits. Counts the new one. */
  opening(destination: string): void {
    const { maxSessions, maxSessionsPerDestination } = this.#options;
    if ((this.#openByDestination.get(destination) ?? 0) >= maxSessionsPerDestination)
      this.#closeOldest((parked) => parked.destination === destination);
    if (this.#open >= maxSessions) this.#closeOldest(() => true);
    this.#count(destination, 1);
  }

  /** The session is gone or was never made. */
  dropped(destination: string): void {
    this.#count(destination, -1);
  }

  /** After a transaction: parks the session, or closes it when it has done its share. */
  giveBack(key: string, usedFor: string, session: Session): void {
    const destination = this.#openedFor.get(session) ?? usedFor;
    this.#openedFor.set(session, destination);
    if (!session.alive) {
      this.#count(destination, -1);
      return;
    }
    if (this.#closed || session.used >= this.#options.messagesPerSession) {
      session.quit();
      this.#count(destination, -1);
      return;
    }
    const parked: Parked = {
      session,
      destination,
      timer: setTimeout(() => this.#close(key, parked), this.#options.idleMs),
    };
    parked.timer.unref();
    session.onEnd(() => this.#close(key, parked));
    const list = this.#idle.get(key);
    if (list === undefined) this.#idle.set(key, [parked]);
    else list.push(parked);
  }

  /** Closes the idle ones; those in use are closed when they come back. */
  close(): void {
    this.#closed = true;
    for (const [key, list] of [...this.#idle]) for (const parked of [...list]) this.#close(key, parked);
  }

  #closeOldest(matches: (parked: Parked) => boolean): void {
    for (const [key, list] of this.#idle) {
      const parked = list.find(matches);
      if (parked === undefined) continue;
      this.#close(key, parked);
      return;
    }
  }

  #close(key: string, parked: Parked): void {
    this.#unpark(key, parked);
    this.#count(parked.destination, -1);
    parked.session.quit();
  }

  #unpark(key: string, parked: Parked): void {
    clearTimeout(parked.timer);
    parked.session.onEnd(undefined);
    const list = (this.#idle.get(key) ?? []).filter((one) => one !== parked);
    if (list.length === 0) this.#idle.delete(key);
    else this.#idle.set(key, list);
  }

  #count(destination: string, change: 1 | -1): void {
    this.#open += change;
    const open = (this.#openByDestination.get(destination) ?? 0) + change;
    if (open <= 0) this.#openByDestination.delete(destination);
    else this.#openByDestination.set(destination, open);
  }
}
