// When a key was last used, to the minute. Noted in memory and written a moment later in one statement for many keys, so that
// authenticating never waits for a write. What is lost in a crash is at most that moment of a value that people glance at.

export interface LastUsed extends AsyncDisposable {
  /** `stored` is what the key's row says; nothing happens when that is this minute already. */
  note(apiKeyUuid: string, stored: Date | null): void;
}

export interface LastUsedOptions {
  now: () => Date;
  /** Sets the time for all of these keys. */
  write: (apiKeyUuids: readonly string[], minute: Date) => Promise<void>;
  /** A write that failed isn't repeated: the key's next use notes it again. */
  failed: (error: unknown, count: number) => void;
  delayMs: number;
}

const minuteMs = 60_000;
/** Beyond so many keys within one delay, the rest waits for its next use. */
const maxPending = 10_000;

export function createLastUsed({ now, write, failed, delayMs }: LastUsedOptions): LastUsed {
  let pending = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const taken = pending;
    pending = new Map();
    // One after the other: two statements over the same rows in different order could deadlock.
    writing = writing.then(async () => {
      for (const [minute, keys] of Map.groupBy(taken.keys(), (key) => taken.get(key) ?? 0)) {
        await write(keys.sort(), new Date(minute)).catch((error: unknown) => failed(error, keys.length));
      }
    });
    return writing;
  }

  return {
    note(apiKeyUuid, stored) {
      const minute = Math.floor(now().getTime() / minuteMs) * minuteMs;
      if (stored !== null && stored.getTime() >= minute) return;
      if (pending.size >= maxPending && !pending.has(apiKeyUuid))
        return failed(new Error('too many keys are waiting for their time of last use'), 1);
      pending.set(apiKeyUuid, minute);
      timer ??= setTimeout(() => void flush(), delayMs).unref();
    },
    [Symbol.asyncDispose]: flush,
  };
}
