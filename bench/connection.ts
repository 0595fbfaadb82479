/** One HTTP/1.1 connection kept alive, one request at a time. A full client would cost as much CPU as the server it measures. */
import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  /** Of the whole answer, for messages about what went wrong. */
  text(): string;
}

const headEnd = Buffer.from('\r\n\r\n');
const lastChunk = Buffer.from('0\r\n\r\n');

export class Connection {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #answered: ((answer: Answer | Error) => void) | undefined;
  #dead: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  static open(host: string, port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  get dead(): boolean {
    return this.#dead !== undefined;
  }

  /** Calls back with the answer, or with what went wrong on the way. The bytes are copied before this returns. */
  request(bytes: Buffer, answered: (answer: Answer | Error) => void): void {
    if (this.#dead !== undefined) {
      answered(this.#dead);
      return;
    }
    this.#answered = answered;
    // A template's bytes change with the next request, and a full socket buffer would read them late.
    this.#socket.write(Buffer.from(bytes));
  }

  close(): void {
    this.#answered = undefined;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk);
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const head = bytes.indexOf(headEnd);
    const headers = head < 0 ? '' : bytes.toString('latin1', 0, head);
    if (head < 0 || !isWhole(bytes, head, headers)) {
      this.#chunks = [bytes];
      return;
    }
    this.#chunks = [];
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.({ status: Number(headers.slice(9, 12)), text: () => bytes.toString() });
  }

  #fail(error: Error): void {
    this.#dead ??= error;
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(this.#dead);
  }
}

function isWhole(bytes: Buffer, head: number, headers: string): boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(headers)?.[1];
  // Chunked: only the last chunk ends like this, for no body of ours contains it.
  if (length === undefined) return bytes.subarray(-lastChunk.length).equals(lastChunk);
  return bytes.length >= head + headEnd.length + Number(length);
}
