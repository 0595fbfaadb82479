/**
 * A Kafka client learns from the broker where to connect (Metadata and FindCoordinator answer with a host as a string and a port as
 * INT32), which would lead it past the proxy it came through. Answers are a length (INT32) and so many bytes; those are cut out of the stream and
 * the broker's address is replaced in place by the proxy's, which is as long.
 */
import { isIPv4 } from 'node:net';

export interface Place {
  host: string;
  port: number;
}

/** Longer answers are fetched records, never addresses, and are passed on as they come. */
const MAX_ADDRESSED_BYTES = 64 * 1024;

export class KafkaAddressRewriter {
  readonly #from: Buffer;
  readonly #to: Buffer;
  #held: Buffer = Buffer.alloc(0);
  /** Of a long answer that is under way. */
  #passing = 0;

  constructor(from: Place, to: Place) {
    if (!isIPv4(from.host) || from.host.length !== to.host.length)
      throw new Error(`the broker must be announced under an address as long as ${to.host}, and is ${from.host}`);
    this.#from = encoded(from);
    this.#to = encoded(to);
  }

  /** What can be passed on by now. */
  push(bytes: Buffer): Buffer[] {
    const out: Buffer[] = [];
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    for (;;) {
      if (this.#passing > 0) {
        const part = rest.subarray(0, this.#passing);
        if (part.length > 0) out.push(part);
        this.#passing -= part.length;
        rest = rest.subarray(part.length);
        if (this.#passing > 0) break;
      }
      if (rest.length < 4) break;
      const size = 4 + rest.readInt32BE(0);
      if (size > MAX_ADDRESSED_BYTES) {
        this.#passing = size;
        continue;
      }
      if (rest.length < size) break;
      out.push(this.#rewritten(Buffer.from(rest.subarray(0, size))));
      rest = rest.subarray(size);
    }
    this.#held = Buffer.from(rest);
    return out;
  }

  #rewritten(frame: Buffer): Buffer {
    for (let at = frame.indexOf(this.#from); at >= 0; at = frame.indexOf(this.#from, at + this.#to.length)) this.#to.copy(frame, at);
    return frame;
  }
}

function encoded({ host, port }: Place): Buffer {
  const bytes = Buffer.alloc(2 + host.length + 4);
  bytes.writeInt16BE(host.length, 0);
  bytes.write(host, 2, 'latin1');
  bytes.writeInt32BE(port, 2 + host.length);
  return bytes;
}
