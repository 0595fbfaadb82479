// Python's email package as a reader of what we compose: a process that is handed messages and tells what it saw.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./witness/read_mime.py', import.meta.url));

/** What a mail program sees of a message. */
export interface Seen {
  names: string[];
  from: [string, string][] | null;
  to: [string, string][] | null;
  cc: [string, string][] | null;
  reply_to: [string, string][] | null;
  subject: string | null;
  own: string | null;
  text: string | null;
  html: string | null;
  attachments: {
    filename: string | null;
    type: string;
    disposition: string | null;
    content_id: string | null;
    size: number;
    sha256: string;
  }[];
  /** What the parser had to guess. */
  defects: string[];
  longest_line: number;
  /** A CR or an LF stands alone. */
  bare: boolean;
  /** Fields with bytes beyond ASCII. */
  utf8_fields: string[];
  eight_bit: boolean;
}

/** False, or what this machine lacks. */
export const missing = spawnSync('python3', ['-c', 'import email.policy']).status === 0 ? false : 'this machine lacks python3';

export class MimeWitness implements AsyncDisposable {
  readonly #process: ChildProcess & { stdin: NonNullable<ChildProcess['stdin']> };
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const process = spawn('python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = process;
    this.#lines = createInterface(process.stdout)[Symbol.asyncIterator]();
  }

  async read(mime: Buffer): Promise<Seen> {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(mime.length);
    this.#process.stdin.write(head);
    this.#process.stdin.write(mime);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the witness ended');
    return JSON.parse(value) as Seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exit;
  }
}
