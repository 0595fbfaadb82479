// Where in a template a thread is, in memory that it shares with whoever may end it: a thread that is ended in the middle of a node can't say
// any more what it was at, and its owner wants to know.
import { type Part, parts, type Source } from './source.ts';

/** The number of the part, and where in its source. */
const ints = 2;
const reading = -1;
const elsewhere = -2;

export class Place {
  readonly #at: Int32Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(ints * Int32Array.BYTES_PER_ELEMENT)) {
    this.#at = new Int32Array(shared);
  }

  get shared(): SharedArrayBuffer {
    return this.#at.buffer as SharedArrayBuffer;
  }

  part(part: Part): void {
    this.#at[0] = parts.indexOf(part);
    this.#at[1] = reading;
  }

  node({ begin, file }: { begin: number; file?: string | undefined }): void {
    this.#at[1] = file === undefined ? begin : elsewhere;
  }

  /** Line and column count from 1; where there is none, `why` says what was under way. */
  in(source: Source): { part: Part; line?: number; column?: number; why: string } {
    const [index = 0, begin = reading] = this.#at;
    const part = parts[index] ?? 'html';
    if (begin === reading) return { part, why: ' to be read: it has too many tags, or they are too deep in one another' };
    if (begin === elsewhere) return { part, why: ', within a template that it names' };
    const before = source[part].slice(0, begin).split('\n');
    return { part, line: before.length, column: (before.at(-1)?.length ?? 0) + 1, why: '' };
  }
}
