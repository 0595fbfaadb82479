// What failed, on its way to the audit log: gathered for a moment and written in one statement, so that nobody who guesses makes us write a
// row per try. The same thing about the same credential from the same address is written once a minute.
import type { EntryToStore } from './store/audit.ts';

const gatherMs = 250;
const onceInMs = 60_000;
const maxWaiting = 1_000;
const maxRemembered = 10_000;

export interface AuditNotes extends AsyncDisposable {
  note(entry: EntryToStore): void;
}

export interface AuditNotesOptions {
  write: (entries: readonly EntryToStore[]) => Promise<void>;
  failed: (error: unknown, count: number) => void;
}

export function createAuditNotes({ write, failed }: AuditNotesOptions): AuditNotes {
  const lastAtMs = new Map<string, number>();
  let waiting: EntryToStore[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const entries = waiting;
    waiting = [];
    if (entries.length > 0) writing = writing.then(() => write(entries)).catch((error: unknown) => failed(error, entries.length));
    return writing;
  }

  return {
    note(entry) {
      const key = [entry.action, entry.tenantId, entry.subjectId, entry.address, entry.detail].join('\0');
      const nowMs = performance.now();
      if (nowMs - (lastAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < onceInMs) return;
      if (waiting.length >= maxWaiting) return failed(new Error('too many entries are waiting for the audit log'), 1);
      if (lastAtMs.size >= maxRemembered) lastAtMs.clear();
      lastAtMs.set(key, nowMs);
      waiting.push(entry);
      timer ??= setTimeout(() => void flush(), gatherMs).unref();
    },
    [Symbol.asyncDispose]: flush,
  };
}
