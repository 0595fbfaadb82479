// A message as it goes over the wire after DATA.

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const cr = Buffer.from('\r');
const lf = Buffer.from('\n');
const dot = Buffer.from('.');
const lfDot = Buffer.from('\n.');

/**
 * RFC 5321 sections 4.5.2 and 2.3.8: a dot that begins a line is doubled, and lines end in CRLF. A CR or LF alone becomes CRLF, or a receiver
 * that takes one for the end of a line might see another dot than we do.
 */
export class WireForm {
  #last = LF;

  of(piece: Buffer): Buffer {
    let at = this.#firstToChange(piece, 0);
    if (at === piece.length) {
      this.#saw(piece);
      return piece;
    }
    const parts: Buffer[] = [];
    let from = 0;
    while (at < piece.length) {
      const byte = piece[at] as number;
      const last = at === 0 ? this.#last : (piece[at - 1] as number);
      parts.push(piece.subarray(from, at));
      if (last === CR && byte !== LF) parts.push(byte === DOT ? lfDot : lf);
      else if (byte === LF) parts.push(cr);
      else parts.push(dot);
      from = at;
      at = this.#firstToChange(piece, at + 1);
    }
    parts.push(piece.subarray(from));
    this.#saw(piece);
    return Buffer.concat(parts);
  }

  /** The end of the last line where it has none, and the dot. */
  end(): Buffer {
    if (this.#last === CR) return Buffer.from('\n.\r\n');
    return Buffer.from(this.#last === LF ? '.\r\n' : '\r\n.\r\n');
  }

  #saw(piece: Buffer): void {
    if (piece.length > 0) this.#last = piece[piece.length - 1] as number;
  }

  /** The first place from `start` on before which something is missing. This loop sees each byte of each message. */
  #firstToChange(piece: Buffer, start: number): number {
    let last = start === 0 ? this.#last : (piece[start - 1] as number);
    for (let at = start; at < piece.length; at++) {
      const byte = piece[at] as number;
      if (last === CR ? byte !== LF : byte === LF || (byte === DOT && last === LF)) return at;
      last = byte;
    }
    return piece.length;
  }
}
