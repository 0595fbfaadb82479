/**
 * The requests that are sent: HTTP/1.1 as bytes, made once, in which only digits are changed before each use. Every body is another
 * one: a number in subject and text, over one of a few hundred texts of words.
 */
const words =
  'order invoice parcel thank you your account was confirmed delivery address Monday street total amount payment card ending receipt question reply team support please find attached number customer item quantity price shipping tracking link expires hours password reset welcome aboard newsletter upcoming event calendar meeting agenda summary details below regards sincerely company office Berlin Vienna Zürich coffee grinder filter paper blue green large small'.split(
    ' ',
  );
const variants = 256;
const digits = 12;
const marker = '000000000000';

export interface RequestOptions {
  host: string;
  path: string;
  /** Without one: no Authorization. */
  key?: string;
  from: string;
  to: string;
  /** The text of a message in bytes. */
  textBytes: number;
  /** 0 = a single message, not a batch. */
  batch: number;
  /** Adds an Idempotency-Key to each. */
  idempotencyKeys: boolean;
  /** Makes keys of this run differ from those of another. */
  run: string;
  /** Not before. */
  sendAt?: string;
}

export interface Requests {
  /** Bytes to write; valid until the next call. */
  next(): Buffer;
}

/** @param first the first number that is given out */
export function createRequests(options: RequestOptions, first = 1): Requests {
  let number = first;
  const templates = Array.from({ length: options.batch > 0 ? 16 : variants }, (_, variant) => templateOf(options, variant));
  return {
    next() {
      const { bytes, at } = templates[number % templates.length]!;
      const text = String(number++).padStart(digits, '0');
      for (const offset of at) bytes.write(text, offset, digits, 'latin1');
      return bytes;
    },
  };
}

function templateOf(options: RequestOptions, variant: number): { bytes: Buffer; at: number[] } {
  const random = seeded(variant + 1);
  const message = (item: number) => ({
    from: options.from,
    to: options.to,
    subject: `Order ${marker}${options.batch > 0 ? `-${item}` : ''} confirmed`,
    text: `Number ${marker}-${item}\n${prose(options.textBytes - digits - 12, random)}`,
    ...(options.sendAt === undefined ? {} : { send_at: options.sendAt }),
  });
  const body = Buffer.from(
    JSON.stringify(options.batch > 0 ? { messages: Array.from({ length: options.batch }, (_, item) => message(item)) } : message(0)),
  );
  const head = [
    `POST ${options.path} HTTP/1.1`,
    `Host: ${options.host}`,
    ...(options.key === undefined ? [] : [`Authorization: Bearer ${options.key}`]),
    'Content-Type: application/json',
    ...(options.idempotencyKeys ? [`Idempotency-Key: ${options.run}-${marker}`] : []),
    `Content-Length: ${body.length}`,
  ];
  const bytes = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
  const at: number[] = [];
  for (let from = bytes.indexOf(marker); from >= 0; from = bytes.indexOf(marker, from + digits)) at.push(from);
  return { bytes, at };
}

function prose(bytes: number, random: () => number): string {
  let text = '';
  let line = 0;
  while (text.length < bytes) {
    const word = words[Math.floor(random() * words.length)]!;
    line += word.length + 1;
    text += line > 72 ? `${word}\n` : `${word} `;
    if (line > 72) line = 0;
  }
  return text.slice(0, bytes);
}

/** mulberry32: the same texts in every run. */
export function seeded(seed: number): () => number {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
