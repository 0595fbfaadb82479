// DNS messages (RFC 1035 section 4, EDNS RFC 6891): reads queries, writes answers. Names are written without compression, which every
// reader takes. Own code because dns2 breaks TXT strings over 255 bytes, drops OPT and knows no truncation.

export const recordTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, OPT: 41, ANY: 255 } as const;
export type RecordType = 'A' | 'NS' | 'CNAME' | 'SOA' | 'PTR' | 'MX' | 'TXT' | 'AAAA';

const responseCodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type ResponseCode = keyof typeof responseCodes;

export interface Soa {
  primary: string;
  admin: string;
  serial: number;
  refreshSeconds: number;
  retrySeconds: number;
  expireSeconds: number;
  minimumSeconds: number;
}

export type ResourceRecord = { name: string; ttlSeconds: number } & (
  | { type: 'A' | 'AAAA' | 'NS' | 'CNAME' | 'PTR'; data: string }
  | { type: 'MX'; data: { preference: number; exchange: string } }
  | { type: 'TXT'; data: string[] }
  | { type: 'SOA'; data: Soa }
);

export interface Query {
  id: number;
  opcode: number;
  recursionDesired: boolean;
  /** As asked, in the client's letter case, without the dot at the end. */
  name: string;
  /** Its number; see recordTypes. */
  type: number;
  class: number;
  /** What the client takes over UDP; undefined without EDNS. */
  ednsUdpSize: number | undefined;
  /** The question section as it came, to be repeated letter by letter. */
  question: Buffer;
}

export interface Answer {
  code: ResponseCode;
  authoritative: boolean;
  truncated?: boolean;
  answers?: ResourceRecord[];
  authority?: ResourceRecord[];
}

/** Reads a query; undefined when it isn't one (too short, an answer, not exactly one question, a broken name). */
export function readQuery(packet: Buffer): Query | undefined {
  if (packet.length < 12 || (packet.readUInt8(2) & 0x80) !== 0 || packet.readUInt16BE(4) !== 1) return undefined;
  const flags = packet.readUInt8(2);
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = packet[at];
    // The first name of a packet has nothing to point to.
    if (length === undefined || length > 63 || at - 12 > 255) return undefined;
    at++;
    if (length === 0) break;
    labels.push(packet.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > packet.length) return undefined;
  const question = packet.subarray(12, at + 4);
  const type = packet.readUInt16BE(at);
  const queryClass = packet.readUInt16BE(at + 2);
  at += 4;
  // OPT stands in the additional section: root name, type, and the UDP size in the place of the class.
  const hasOpt =
    packet.readUInt16BE(10) > 0 && packet.length >= at + 11 && packet[at] === 0 && packet.readUInt16BE(at + 1) === recordTypes.OPT;
  return {
    id: packet.readUInt16BE(0),
    opcode: (flags >> 3) & 0x0f,
    recursionDesired: (flags & 1) === 1,
    name: labels.join('.'),
    type,
    class: queryClass,
    ednsUdpSize: hasOpt ? packet.readUInt16BE(at + 3) : undefined,
    question: Buffer.from(question),
  };
}

/** Writes the answer to a query; EDNS is answered when it was asked with. */
export function writeAnswer(query: Query, answer: Answer): Buffer {
  const answers = (answer.answers ?? []).map(writeRecord);
  const authority = (answer.authority ?? []).map(writeRecord);
  const opt = query.ednsUdpSize === undefined ? [] : [Buffer.from([0, 0, recordTypes.OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0])];
  const header = Buffer.alloc(12);
  header.writeUInt16BE(query.id, 0);
  header.writeUInt8(
    0x80 | (query.opcode << 3) | (answer.authoritative ? 4 : 0) | (answer.truncated === true ? 2 : 0) | (query.recursionDesired ? 1 : 0),
    2,
  );
  header.writeUInt8(responseCodes[answer.code], 3);
  for (const [index, count] of [1, answers.length, authority.length, opt.length].entries()) header.writeUInt16BE(count, 4 + 2 * index);
  return Buffer.concat([header, query.question, ...answers, ...authority, ...opt]);
}

function writeRecord(record: ResourceRecord): Buffer {
  const data = writeData(record);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(recordTypes[record.type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(record.ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([writeName(record.name), fixed, data]);
}

function writeData(record: ResourceRecord): Buffer {
  switch (record.type) {
    case 'A':
      return Buffer.from(record.data.split('.').map(Number));
    case 'AAAA':
      return ipv6Bytes(record.data);
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return writeName(record.data);
    case 'MX': {
      const preference = Buffer.alloc(2);
      preference.writeUInt16BE(record.data.preference);
      return Buffer.concat([preference, writeName(record.data.exchange)]);
    }
    case 'TXT':
      return Buffer.concat(record.data.map(characterString));
    case 'SOA': {
      const { primary, admin, ...numbers } = record.data;
      const tail = Buffer.alloc(20);
      const { serial, refreshSeconds, retrySeconds, expireSeconds, minimumSeconds } = numbers;
      for (const [index, value] of [serial, refreshSeconds, retrySeconds, expireSeconds, minimumSeconds].entries())
        tail.writeUInt32BE(value, 4 * index);
      return Buffer.concat([writeName(primary), writeName(admin), tail]);
    }
  }
}

function characterString(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new RangeError('a character string of TXT has at most 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** `example.com` or `example.com.` in labels; `.` and the empty name are the root. */
function writeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => {
    if (label.length > 63) throw new RangeError(`label of ${label.length} characters`);
    return Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]);
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? [] : new Array<string>(8 - first.length - last.length).fill('0');
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...first, ...zeros, ...last].entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * index);
  return bytes;
}
