// What delivery processes on one database tell each other by NOTIFY. Hints only: whoever misses one finds the same a little later by polling,
// so a lost connection costs time and nothing else.
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import type { Logger } from '@maildoot/runtime/logger';
import pg from 'pg';

export interface NewsListener {
  /** Rows may be there to claim. */
  due(): void;
  /** A tenant's mail was captured; undefined: anybody's, something was missed. */
  captured(tenantId: string | undefined): void;
  /** A process came, went, or changed what it may do. */
  peers(): void;
}

export interface NewsParts {
  database: Pick<Database, 'pool' | 'schema'>;
  logger: Logger;
  /** Distinguishes what others tell from what this process told. */
  self: string;
  /** Whether there is anybody to tell. */
  hasPeers(): boolean;
  listener: NewsListener;
}

const reconnectMs = 1_000;
// Beyond that many tenants in one notification it says "anybody".
const maxTenants = 50;
const everybody = '*';

export class News implements AsyncDisposable {
  readonly #parts: NewsParts;
  readonly #channel: string;
  readonly #stopping = new AbortController();
  readonly #tenants = new Set<string>();
  #due = false;
  #peers = false;
  #telling = false;
  #running: Promise<void> | undefined;

  constructor(parts: NewsParts) {
    this.#parts = parts;
    this.#channel = `news_of_${parts.database.schema}`;
  }

  start(): void {
    this.#running = this.#listen();
  }

  /** Tells the other processes. Many in a row become few notifications. */
  due(): void {
    this.#due = true;
    this.#tell();
  }

  captured(tenantId: string): void {
    this.#tenants.add(tenantId);
    this.#tell();
  }

  /** Told whether or not others are known: it is how they become known. */
  peers(): void {
    this.#peers = true;
    this.#tell();
  }

  /** The last word, once this process counts no more. */
  async goodbye(): Promise<void> {
    await this.#parts.database.pool
      .query('SELECT pg_notify($1, $2)', [this.#channel, `${this.#parts.self} peers due`])
      .catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #tell(): void {
    if (this.#telling) return;
    const payload = this.#takeWhatIsToTell();
    if (payload === undefined) return;
    this.#telling = true;
    // A hint that can't be told is dropped: the others poll.
    this.#parts.database.pool
      .query('SELECT pg_notify($1, $2)', [this.#channel, payload])
      .catch(() => undefined)
      .finally(() => {
        this.#telling = false;
        this.#tell();
      });
  }

  #takeWhatIsToTell(): string | undefined {
    const [due, peers, tenants] = [this.#due, this.#peers, [...this.#tenants]];
    this.#due = false;
    this.#peers = false;
    this.#tenants.clear();
    const audience = this.#parts.hasPeers();
    const words = [
      ...(due && audience ? ['due'] : []),
      ...(peers ? ['peers'] : []),
      ...(audience ? (tenants.length > maxTenants ? [everybody] : tenants).map((tenant) => `captured:${tenant}`) : []),
    ];
    return words.length === 0 ? undefined : [this.#parts.self, ...words].join(' ');
  }

  #hear(payload: string | undefined): void {
    const [from, ...words] = (payload ?? '').split(' ');
    if (from === this.#parts.self) return;
    const { listener } = this.#parts;
    for (const word of words) {
      if (word === 'due') listener.due();
      else if (word === 'peers') listener.peers();
      else if (word.startsWith('captured:')) {
        const tenant = word.slice('captured:'.length);
        listener.captured(tenant === everybody ? undefined : tenant);
      }
    }
  }

  async #listen(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const client = new pg.Client(this.#parts.database.pool.options);
      const lost = Promise.withResolvers<void>();
      const end = (): void => lost.resolve();
      client.on('error', end);
      client.on('end', end);
      client.on('notification', ({ payload }) => this.#hear(payload));
      signal.addEventListener('abort', end, { once: true });
      try {
        await client.connect();
        await client.query(`LISTEN ${pg.escapeIdentifier(this.#channel)}`);
        // What was told in between is not known.
        const { listener } = this.#parts;
        listener.due();
        listener.captured(undefined);
        listener.peers();
        await lost.promise;
      } catch (error) {
        this.#parts.logger.warn(
          { err: error },
          'delivery: news of other processes can’t be heard at the moment; they are found by polling',
        );
      } finally {
        signal.removeEventListener('abort', end);
        await client.end().catch(() => undefined);
      }
      await delay(reconnectMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
