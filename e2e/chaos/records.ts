/** The lines of the files that a run leaves behind: two of the three records that are reconciled, and what explains them. */
import { readFile } from 'node:fs/promises';

/** `acknowledged.jsonl`, one per message: written and on the disk before the client counts it. */
export interface Acknowledged {
  id: string;
  /** The message's own number, in its header X-Chaos-Number. */
  number: number;
  /** The request it was in. */
  request: number;
  recipients: string[];
}

/** `received.jsonl`, one per transaction of the receiving side. */
export interface Received {
  /** Seconds since the epoch. */
  at: number;
  id: string | null;
  number: number | null;
  to: string[];
}

/** `template`: a single one that names one. `submitted`: by SMTP. */
export type RequestKind = 'single' | 'several' | 'batch' | 'template' | 'submitted';
/** Where the idempotency key of a request stood: the header, each message, or nowhere. */
export type KeyPlace = 'header' | 'message' | 'none';

/** How one try of a request ended: an HTTP status, or what happened instead of one (`ECONNRESET`, `timeout`). */
export interface Try {
  end: number | string;
  /** The code of the error that was answered. */
  code?: string;
  ms: number;
  retryAfterMs?: number;
}

/** `requests.jsonl`, one per request, when it is over. */
export interface Requested {
  request: number;
  kind: RequestKind;
  key: KeyPlace;
  /** Of its messages. */
  numbers: number[];
  /** When it was due, and sent: milliseconds since the epoch. */
  at: number;
  tries: Try[];
  /** From when it was due until its last answer. */
  ms: number;
  /** Messages that a 202 refused one by one. */
  refused: { number: number; code: string }[];
}

/** `journal.jsonl`: a strike as it was carried out. */
export interface Struck {
  number: number;
  victim: string;
  deed: string;
  /** Milliseconds since the epoch; `until`: when the process was back, or its connections allowed again. */
  at: number;
  until: number;
  note?: string;
}

export async function readRecords<T>(file: string): Promise<T[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  // What has no end yet is still being written.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}
