/**
 * Identifiers. Outside (API, events, RPC) an id is a prefix and 26 characters, `msg_01jd…`; in the database it is a `uuid`.
 * Both are the same UUIDv7 (RFC 9562 section 5.7), so an id contains its own time and sorts by it in either form.
 *
 * Within one process ids only grow: the 12 bits of rand_a and the first 18 of rand_b are a counter (RFC 9562 section 6.2, method 1),
 * seeded at random each millisecond; the other 44 bits are random.
 */
import { randomFillSync } from 'node:crypto';

/** What an id names: message, recipient, event, API key, tenant, user, domain, request, batch, captured mail, template, session, audit entry, suppression, callback, callback attempt, callback replay, SMTP user. */
export type IdPrefix =
  | 'msg'
  | 'rcp'
  | 'evt'
  | 'key'
  | 'ten'
  | 'usr'
  | 'dom'
  | 'req'
  | 'bat'
  | 'cap'
  | 'tpl'
  | 'ses'
  | 'aud'
  | 'sup'
  | 'cbk'
  | 'cba'
  | 'cbr'
  | 'smu';

// Crockford's alphabet in lower case: no i, l, o, u.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const VALUES = new Int8Array(128).fill(-1);
for (let value = 0; value < 32; value++) VALUES[ALPHABET.charCodeAt(value)] = value;

const HEX: string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const TEXT_LENGTH = 26;
const COUNTER_MAX = 2 ** 30 - 1;
// Half of the counter's range is kept free above the seed, so that 2^29 ids fit into a millisecond before it would overflow.
const SEED_MASK = 2 ** 29 - 1;

const pool = new Uint8Array(4096);
let poolUsed = pool.length;
let lastMs = 0;
let counter = 0;
const scratch = new Uint8Array(16);

/** A new id, greater than every one made before in this process. */
export function newId(prefix: IdPrefix): string {
  fillUuidV7(scratch);
  return `${prefix}_${encode(scratch)}`;
}

/** A new UUIDv7 in the database's form, for rows that have no public id. */
export function newUuid(): string {
  fillUuidV7(scratch);
  return uuidText(scratch);
}

/** The database's form of a public id; undefined unless the text is exactly what `uuidToId` gives for this prefix. */
export function idToUuid(prefix: IdPrefix, text: string): string | undefined {
  if (text.length !== prefix.length + 1 + TEXT_LENGTH || !text.startsWith(prefix) || text.charCodeAt(prefix.length) !== 0x5f)
    return undefined;
  const bytes = new Uint8Array(16);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let index = prefix.length + 1; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const value = code < 128 ? (VALUES[code] as number) : -1;
    if (value < 0) return undefined;
    // 26 characters hold 130 bits: the first one has two too many, which must be zero.
    if (index === prefix.length + 1 && value > 7) return undefined;
    held = ((held << 5) | value) & 0x1fff;
    bits += index === prefix.length + 1 ? 3 : 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  return isV7(bytes) ? uuidText(bytes) : undefined;
}

/** The public form of a database id. Throws when the text is no UUIDv7: such a row is not ours. */
export function uuidToId(prefix: IdPrefix, uuid: string): string {
  return `${prefix}_${encode(parseUuid(uuid))}`;
}

/** When an id was made, to the millisecond. */
export function uuidTime(uuid: string): Date {
  const bytes = parseUuid(uuid);
  let milliseconds = 0;
  for (let index = 0; index < 6; index++) milliseconds = milliseconds * 256 + (bytes[index] as number);
  return new Date(milliseconds);
}

/**
 * The lowest UUIDv7 of an instant: the bound of a partition, or of a filter by date. An instant that no id can have (before 1970, after
 * the year 10889) is the nearest one that it can: nothing lies beyond.
 */
export function uuidAt(date: Date): string {
  const bytes = new Uint8Array(16);
  writeTime(bytes, Math.min(Math.max(date.getTime(), 0), 2 ** 48 - 1));
  bytes[6] = 0x70;
  bytes[8] = 0x80;
  return uuidText(bytes);
}

function fillUuidV7(bytes: Uint8Array): void {
  const now = Date.now();
  const random = takeRandom(10);
  // A clock that was set back must not make ids that sort before earlier ones.
  if (now > lastMs) {
    lastMs = now;
    counter =
      (((pool[random] as number) << 24) |
        ((pool[random + 1] as number) << 16) |
        ((pool[random + 2] as number) << 8) |
        (pool[random + 3] as number)) &
      SEED_MASK;
  } else if (counter < COUNTER_MAX) {
    counter++;
  } else {
    lastMs++;
    counter = 0;
  }
  writeTime(bytes, lastMs);
  bytes[6] = 0x70 | (counter >>> 26);
  bytes[7] = (counter >>> 18) & 0xff;
  bytes[8] = 0x80 | ((counter >>> 12) & 0x3f);
  bytes[9] = (counter >>> 4) & 0xff;
  bytes[10] = ((counter & 0x0f) << 4) | ((pool[random + 4] as number) & 0x0f);
  for (let index = 0; index < 5; index++) bytes[11 + index] = pool[random + 5 + index] as number;
}

function takeRandom(count: number): number {
  if (poolUsed + count > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  const start = poolUsed;
  poolUsed += count;
  return start;
}

function writeTime(bytes: Uint8Array, milliseconds: number): void {
  if (!(milliseconds >= 0 && milliseconds < 2 ** 48)) throw new RangeError('an id has no room for this time');
  const whole = Math.floor(milliseconds);
  const high = Math.floor(whole / 2 ** 32);
  const low = whole >>> 0;
  bytes[0] = high >>> 8;
  bytes[1] = high & 0xff;
  bytes[2] = low >>> 24;
  bytes[3] = (low >>> 16) & 0xff;
  bytes[4] = (low >>> 8) & 0xff;
  bytes[5] = low & 0xff;
}

function encode(bytes: Uint8Array): string {
  let text = ALPHABET[(bytes[0] as number) >> 5] as string;
  let held = (bytes[0] as number) & 0x1f;
  let bits = 5;
  for (let index = 1; index <= 16; index++) {
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 0x1f];
    }
    if (index < 16) {
      held = ((held << 8) | (bytes[index] as number)) & 0x1fff;
      bits += 8;
    }
  }
  return text;
}

function uuidText(b: Uint8Array): string {
  const hex = (index: number): string => HEX[b[index] as number] as string;
  return `${hex(0)}${hex(1)}${hex(2)}${hex(3)}-${hex(4)}${hex(5)}-${hex(6)}${hex(7)}-${hex(8)}${hex(9)}-${hex(10)}${hex(11)}${hex(12)}${hex(13)}${hex(14)}${hex(15)}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function parseUuid(uuid: string): Uint8Array {
  if (!UUID.test(uuid)) throw new RangeError(`${JSON.stringify(uuid)} is no UUIDv7`);
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function isV7(bytes: Uint8Array): boolean {
  return (bytes[6] as number) >> 4 === 7 && (bytes[8] as number) >> 6 === 2;
}
