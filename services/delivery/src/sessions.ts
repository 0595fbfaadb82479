// Open sessions between two transactions: kept for a few seconds, reused by the next one to the same host, never more than the destination
// may have, closed when they have carried their share of messages. A session counts until its connection is gone: a server that allows so
// many would refuse one that is opened beside another's QUIT.
import type { Session } from './session.ts';

export interface SessionsOptions {
  messagesPerSession: number;
  maxSessions: number;
  /** How many of them a destination may have; changes with the other processes. */
  sessionsFor(destination: string): number;
  /** How long an idle one is kept. */
  idleMs: number;
  /** How long a new one waits for others to be gone. Default 5 s. */
  roomMs?: number;
}

const defaultRoomMs = 5_000;

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
  #waiting: (() => void)[] = [];

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

  /**
   * Before a session is opened: waits until there is room for it, closing idle ones to make some, and counts the new one. False: there was none
   * in time.
   */
  async opening(destination: string): Promise<boolean> {
    const deadline = performance.now() + (this.#options.roomMs ?? defaultRoomMs);
    for (;;) {
      const hasRoom = this.openTo(destination) < this.#options.sessionsFor(destination);
      if (hasRoom && this.#open < this.#options.maxSessions) {
        this.#count(destination, 1);
        return true;
      }
      if (!hasRoom) this.#closeOldest((parked) => parked.destination === destination);
      else this.#closeOldest(() => true);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await this.#change(leftMs);
    }
  }

  /** Sessions open to a destination, the closing ones included. */
  openTo(destination: string): number {
    return this.#openByDestination.get(destination) ?? 0;
  }

  /** Destinations that have sessions, and how many. */
  get openByDestination(): ReadonlyMap<string, number> {
    return this.#openByDestination;
  }

  /** Closes idle ones where a destination may have fewer now. */
  limitsChanged(): void {
    for (const [destination, open] of this.#openByDestination) {
      const excess = open - this.#options.sessionsFor(destination);
      for (let closed = 0; closed < excess; closed++) if (!this.#closeOldest((parked) => parked.destination === destination)) break;
    }
    this.#wakeWaiting();
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
      this.#quit(session, destination);
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

  #closeOldest(matches: (parked: Parked) => boolean): boolean {
    for (const [key, list] of this.#idle) {
      const parked = list.find(matches);
      if (parked === undefined) continue;
      this.#close(key, parked);
      return true;
    }
    return false;
  }

  #close(key: string, parked: Parked): void {
    this.#unpark(key, parked);
    this.#quit(parked.session, parked.destination);
  }

  #quit(session: Session, destination: string): void {
    if (!session.alive) {
      this.#count(destination, -1);
      return;
    }
    session.onEnd(() => {
      session.onEnd(undefined);
      this.#count(destination, -1);
    });
    session.quit();
  }

  async #change(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
    this.#waiting = this.#waiting.filter((one) => one !== resolve);
  }

  #wakeWaiting(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
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
    if (change < 0) this.#wakeWaiting();
  }
}
