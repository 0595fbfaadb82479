// A destination for createLogger that keeps what was logged, so that a test can look for what must, or must never, be there.
import { waitFor } from './wait.ts';

/** One JSON line of a pino logger. */
export type LogRecord = Record<string, unknown> & { level: number; msg?: string };

export interface CapturedLogs {
  /** What pino writes to. */
  destination: { write(line: string): void };
  /** Everything written, as it was: search it for markers. */
  readonly text: string;
  readonly records: readonly LogRecord[];
  /** The first record that matches, now or later. */
  waitForRecord(matches: (record: LogRecord) => boolean, what: string, timeoutMs?: number): Promise<LogRecord>;
}

export function captureLogs(): CapturedLogs {
  const chunks: string[] = [];
  const records: LogRecord[] = [];
  return {
    destination: {
      write(line) {
        chunks.push(line);
        for (const text of line.split('\n')) if (text !== '') records.push(JSON.parse(text) as LogRecord);
      },
    },
    get text() {
      return chunks.join('');
    },
    records,
    waitForRecord: (matches, what, timeoutMs) =>
      waitFor(() => records.find(matches), { what: `a log record: ${what}`, ...(timeoutMs !== undefined && { timeoutMs }) }),
  };
}
