/**
 * Keeps one process alive as a kubelet keeps a container: whatever ends is started again, after a back-off, until it is told to stop.
 * Liveness is not looked at: a process that is stopped (SIGSTOP) or hangs stays as it is.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** One life of the process. */
export interface Life {
  readonly pid: number;
  /** Resolves with how it ended: `SIGKILL`, `exit 1`. */
  readonly ended: Promise<string>;
  /** Lets it finish what is under way. */
  stop(): Promise<void>;
}

export interface Supervised extends AsyncDisposable {
  readonly name: string;
  /** Undefined while there is none. */
  readonly pid: number | undefined;
}

export interface SupervisorOptions {
  name: string;
  start(): Promise<Life>;
  /** One line for everything that happens. */
  say(text: string): void;
  /** There is another process, or none, under this name. */
  changed(): void;
  firstBackOffMs?: number;
  longestBackOffMs?: number;
  /** A life as long as this has forgotten the failures before it. */
  steadyAfterMs?: number;
}

/** Resolves when the first life has begun. @throws what the first start throws */
export async function supervise(options: SupervisorOptions): Promise<Supervised> {
  const supervisor = new Supervisor(options);
  await supervisor.begin();
  return supervisor;
}

class Supervisor implements Supervised {
  readonly name: string;
  readonly #options: Required<SupervisorOptions>;
  readonly #stopping = new AbortController();
  #life: Life | undefined;
  #keeping: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.name = options.name;
    this.#options = { firstBackOffMs: 200, longestBackOffMs: 5_000, steadyAfterMs: 10_000, ...options };
  }

  get pid(): number | undefined {
    return this.#life?.pid;
  }

  async begin(): Promise<void> {
    this.#life = await this.#options.start();
    this.#options.changed();
    this.#keeping = this.#keep(this.#life);
  }

  async #keep(first: Life): Promise<void> {
    const { firstBackOffMs, longestBackOffMs, steadyAfterMs, say, start, changed } = this.#options;
    const { signal } = this.#stopping;
    let backOffMs = firstBackOffMs;
    let life: Life | undefined = first;
    while (!signal.aborted) {
      const since = performance.now();
      const how = life ? `ended (${await life.ended})` : 'did not start';
      this.#life = undefined;
      if (signal.aborted) return;
      changed();
      if (performance.now() - since >= steadyAfterMs) backOffMs = firstBackOffMs;
      say(`${this.name} ${how}, again in ${backOffMs / 1000} s`);
      await delay(backOffMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      backOffMs = Math.min(backOffMs * 2, longestBackOffMs);
      life = await start().catch((error: unknown) => {
        say(`${this.name}: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      });
      if (!life) continue;
      this.#life = life;
      say(`${this.name} started (pid ${life.pid})`);
      changed();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#life?.stop();
    // A start that was under way when the stop came has a life only now.
    await this.#keeping;
    await this.#life?.stop();
  }
}
