/** The schema `event_log` of PostgreSQL, made by whoever opens a log. */
import { migrate } from '@maildoot/db/migrate';
import type { Logger } from '@maildoot/runtime/logger';
import { backOff } from './back-off.ts';
import { logMigrations } from './migrations.ts';

export class LogSchema {
  readonly #url: string;
  readonly #logger: Logger;
  #prepared: Promise<unknown> | undefined;

  constructor(url: string, logger: Logger) {
    this.#url = url;
    this.#logger = logger;
  }

  /** Resolves once it is there; tries until it is, or the signal aborts. */
  async prepared(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      signal.throwIfAborted();
      this.#prepared ??= migrate({ url: this.#url, schema: 'event_log', migrations: [logMigrations] });
      try {
        await this.#prepared;
        return;
      } catch (error) {
        this.#prepared = undefined;
        this.#logger.warn({ err: error }, 'events: the log could not be prepared, trying again');
        await backOff(failures, signal);
      }
    }
  }

  /** Nothing is under way any more. */
  async settled(): Promise<void> {
    await this.#prepared?.catch(() => {});
  }
}
