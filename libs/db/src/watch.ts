// One connection beside the pool, of which two things are learned.
//
// How the database is. A server that refuses or breaks connections says so by itself, at once. One that hangs, or that the network lost,
// doesn't: a statement sent to it would wait for its own limit, which is long because statements may be. So a small question goes this
// way every second, and sooner while the pool works. When it isn't answered for a second, nothing more is asked until it is; after two,
// what was asked before is given up as well, by breaking the pool's connections. (Refusing costs nothing when it was only a busy moment;
// connections have to be made again.) How long a statement takes says nothing: a slow one is left alone as long as the server answers
// others.
//
// What others NOTIFY.
import { systemClock } from '@maildoot/runtime/clock';
import type { Health } from '@maildoot/runtime/health';
import { observableGauge } from '@maildoot/runtime/telemetry';
import pg from 'pg';
import { connectionTo, type Database } from './database.ts';
import { DatabaseSilent } from './errors.ts';
import { type Log, silentLog } from './log.ts';

const tickMs = 250;
// In ticks without an answer, not in milliseconds: of the time in which we stood still ourselves one counts.
// After giving up, another connection may have more luck: the network may have forgotten this one alone, and until we know, everything is
// refused. To connect is work for both sides, and takes a busy machine longer than a question does.
const patience = { question: { refuse: 4, break: 8, giveUp: 9 }, connection: { refuse: 12, break: 16, giveUp: 40 } } as const;
const askEveryMs = 1000;
const firstPauseMs = 50;
const longestPauseMs = 500;

export interface WatchOptions {
  database: Database;
  /** Of the same database. */
  url: string;
  /** Gets the line `database`. */
  health: Pick<Health, 'report'>;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  logger?: Log;
  listen?: {
    channel: string;
    /** Each payload; undefined when listening begins, again too: what was said before may have been missed. */
    heard(payload: string | undefined): void;
  };
}

type State = 'up' | 'silent' | 'unreachable';

/** Until it is disposed of. */
export function watchDatabase(options: WatchOptions): AsyncDisposable {
  const watch = new Watch(options);
  const gauge = observableGauge('db', 'database.up', (result) => result.observe(watch.isUp ? 1 : 0, { schema: options.database.schema }), {
    description: 'Whether the database answers: 1 or 0.',
  });
  const running = watch.run();
  return {
    async [Symbol.asyncDispose]() {
      watch.stop();
      await running;
      gauge[Symbol.dispose]();
    },
  };
}

class Watch {
  readonly #options: WatchOptions;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #state: State | undefined;
  /** Ends the pause. */
  #wake: () => void = ignore;
  /** Shortens the pause: the pool is at work. */
  #hurry: () => void = ignore;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#log = options.logger ?? silentLog;
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }

  async run(): Promise<void> {
    const { pool } = this.#options.database;
    const acquired = (): void => this.#hurry();
    pool.on('acquire', acquired);
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      if (await this.#connection()) failures = 0;
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures, 6));
      // Rejects when it is stopped, and only then.
      await systemClock.sleep(pauseMs, signal).catch(ignore);
    }
    pool.off('acquire', acquired);
  }

  /** Connects, and asks until there is no answer. True: there had been one. */
  async #connection(): Promise<boolean> {
    const { url, applicationName, listen, database } = this.#options;
    const { signal } = this.#stopping;
    const client = new pg.Client({
      ...connectionTo(url, { search_path: database.schema }),
      application_name: `${applicationName} watch`,
      keepAlive: true,
    });
    // The question that is under way fails by itself; a pause has to be told.
    client.on('error', () => this.#wake()).on('end', () => this.#wake());
    client.on('notification', ({ payload }) => listen?.heard(payload ?? ''));
    // A goodbye would wait for a server that doesn't answer.
    const close = (): void => void client.connection.stream.destroy();
    signal.addEventListener('abort', close);
    let answered = false;
    try {
      await this.#answer(client.connect(), patience.connection);
      if (listen !== undefined) {
        await this.#answer(client.query(`LISTEN ${pg.escapeIdentifier(listen.channel)}`));
        listen.heard(undefined);
      }
      while (!signal.aborted) {
        await this.#answer(client.query('SELECT 1'));
        this.#is('up');
        answered = true;
        await this.#pause();
      }
    } catch (error) {
      // A connection that was lost after an answer says little: the next one will tell.
      if (!answered && !signal.aborted) this.#is(error instanceof DatabaseSilent ? 'silent' : 'unreachable', error);
    } finally {
      signal.removeEventListener('abort', close);
      close();
    }
    return answered;
  }

  /** Waits for what was asked of the server, and draws the conclusions when nothing comes. */
  async #answer(asked: Promise<unknown>, until: (typeof patience)[keyof typeof patience] = patience.question): Promise<void> {
    const { promise: silence, reject } = Promise.withResolvers<never>();
    let ticks = 0;
    const conclude = (): void => {
      if (ticks === until.refuse) this.#is('silent');
      else if (ticks === until.break) this.#options.database.breakConnections();
      else if (ticks >= until.giveUp) reject(new DatabaseSilent());
    };
    let pending: NodeJS.Immediate | undefined;
    const timer = setInterval(() => {
      ticks++;
      // Not before what has come meanwhile is read.
      pending = setImmediate(conclude);
    }, tickMs);
    try {
      await Promise.race([asked, silence]);
    } finally {
      clearInterval(timer);
      clearImmediate(pending);
    }
  }

  #is(state: State, cause?: unknown): void {
    const { database, health } = this.#options;
    const before = this.#state;
    this.#state = state;
    health.report('database', state === 'up', state === 'up' ? undefined : details[state]);
    if (state === before) return;
    if (state === 'silent') database.refuse(new DatabaseSilent());
    else if (before === 'silent') database.refuse(undefined);
    if (state !== 'up') this.#log.warn({ schema: database.schema, state, err: cause }, `database: ${details[state]}`);
    else if (before !== undefined) this.#log.info({ schema: database.schema }, 'database: it answers again');
  }

  /** Until the next question is due. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      let timer = setTimeout(resolve, askEveryMs);
      let hurried = false;
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#hurry = () => {
        if (hurried) return;
        hurried = true;
        clearTimeout(timer);
        timer = setTimeout(resolve, tickMs);
      };
    });
  }
}

/** Safe to show to everybody. */
const details = { silent: 'does not answer', unreachable: 'cannot be reached' } as const;

function ignore(): void {}
