// A DNS server for tests, on UDP and TCP at one port: "the internet's" answers for any zone. Zones can be replaced while it runs, names
// can be made to fail, and every query is kept. It answers as an authority of all its zones and follows CNAMEs across them, as a resolver's
// answer would, so it serves for DNS_SERVERS and for a domain's own name servers alike.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  type Answer,
  type Query,
  type RecordType,
  type ResourceRecord,
  readQuery,
  recordTypes,
  type Soa,
  writeAnswer,
} from './dns-packet.ts';

/** What a name has. A TXT given as a string is cut into pieces of 255 bytes; given as an array it goes out in exactly these strings. */
export interface ZoneRecords {
  A?: string[];
  AAAA?: string[];
  MX?: { preference: number; exchange: string }[];
  TXT?: (string | string[])[];
  CNAME?: string;
  NS?: string[];
  PTR?: string[];
  SOA?: Soa;
  /** Default 60. */
  ttlSeconds?: number;
}

/** Zone name → name relative to it (`@` is the zone itself, `*` a wildcard) → records. A zone without SOA gets one. */
export type Zones = Record<string, Record<string, ZoneRecords>>;

/**
 * How a name can fail. `drop` answers nothing; `truncated` answers over UDP with TC and no records, over TCP in full; `malformed` answers
 * garbage; `slow` answers right, but late.
 */
export type DnsFailure = 'servfail' | 'refused' | 'formerr' | 'nxdomain' | 'drop' | 'truncated' | 'malformed' | { slowMs: number };

export interface RecordedQuery {
  /** Lower case. */
  name: string;
  /** `MX`, or `TYPE65` for one not known here. */
  type: string;
  transport: 'udp' | 'tcp';
  at: Date;
}

export interface DnsServer extends AsyncDisposable {
  /** `127.0.0.1:port`, for DNS_SERVERS. */
  address: string;
  port: number;
  readonly queries: readonly RecordedQuery[];
  /** Replaces everything. */
  setZones(zones: Zones): void;
  /** Adds or replaces one zone. */
  setZone(zone: string, names: Record<string, ZoneRecords>): void;
  /** Adds or replaces what one name has, in the zone that is closest; records of undefined remove it. */
  setRecords(name: string, records: ZoneRecords | undefined): void;
  /** Makes a name fail (`*` = every name), for all types or some, for so many queries (default for good). */
  fail(name: string, failure: DnsFailure, only?: { types?: RecordType[]; times?: number }): void;
  /** Ends the failures of a name, or all. */
  heal(name?: string): void;
}

interface Failing {
  failure: DnsFailure;
  types: number[] | undefined;
  left: number;
}

const defaultTtlSeconds = 60;

export async function startDnsServer(options: { zones?: Zones; port?: number; host?: string } = {}): Promise<DnsServer> {
  const host = options.host ?? '127.0.0.1';
  let zones = new Map<string, Map<string, ZoneRecords>>();
  const failing = new Map<string, Failing[]>();
  const queries: RecordedQuery[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const connections = new Set<Socket>();

  function setZone(zone: string, names: Record<string, ZoneRecords>): void {
    zones.set(
      bare(zone),
      new Map(Object.entries(names).map(([name, records]) => [name === '@' ? bare(zone) : `${bare(name)}.${bare(zone)}`, records])),
    );
  }
  function setZones(next: Zones): void {
    zones = new Map();
    for (const [zone, names] of Object.entries(next)) setZone(zone, names);
  }
  setZones(options.zones ?? {});

  function takeFailure(query: Query): DnsFailure | undefined {
    for (const entry of [...(failing.get(bare(query.name)) ?? []), ...(failing.get('*') ?? [])]) {
      if (entry.left <= 0 || (entry.types !== undefined && !entry.types.includes(query.type))) continue;
      entry.left--;
      return entry.failure;
    }
    return undefined;
  }

  function handle(packet: Buffer, transport: 'udp' | 'tcp', send: (answer: Buffer) => void): void {
    const query = readQuery(packet);
    if (query === undefined) return;
    queries.push({ name: bare(query.name), type: typeName(query.type), transport, at: new Date() });
    const failure = takeFailure(query);
    const answer = () => fit(query, transport, answerTo(zones, query));
    if (typeof failure === 'object') {
      const timer = setTimeout(() => {
        timers.delete(timer);
        send(answer());
      }, failure.slowMs);
      timers.add(timer);
      return;
    }
    const bytes = failure === undefined ? answer() : failedAnswer(query, transport, failure, answer);
    if (bytes !== undefined) send(bytes);
  }

  const { udp, tcp, port } = await listenOnBoth(host, options.port ?? 0);
  udp.on('message', (packet, peer) =>
    handle(packet, 'udp', (answer) => {
      // The client may be gone, or the server closing.
      if (!closed) udp.send(answer, peer.port, peer.address, () => undefined);
    }),
  );
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => connections.delete(socket));
    let pending: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0);
        handle(pending.subarray(2, end), 'tcp', (answer) => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          if (!socket.destroyed) socket.write(Buffer.concat([length, answer]));
        });
        pending = pending.subarray(end);
      }
    });
  });

  let closed = false;
  return {
    address: `${host}:${port}`,
    port,
    queries,
    setZones,
    setZone,
    setRecords(name, records) {
      const zone = closestZone(zones, bare(name));
      if (zone === undefined) throw new Error(`no zone for ${name}`);
      if (records === undefined) zone.names.delete(bare(name));
      else zone.names.set(bare(name), records);
    },
    fail(name, failure, only = {}) {
      const key = name === '*' ? '*' : bare(name);
      const entry = { failure, types: only.types?.map((type) => recordTypes[type]), left: only.times ?? Number.POSITIVE_INFINITY };
      failing.set(key, [...(failing.get(key) ?? []), entry]);
    },
    heal(name) {
      if (name === undefined) failing.clear();
      else failing.delete(name === '*' ? '*' : bare(name));
    },
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      for (const socket of connections) socket.destroy();
      await Promise.all([new Promise<void>((resolve) => udp.close(() => resolve())), new Promise((resolve) => tcp.close(resolve))]);
    },
  };
}

function failedAnswer(
  query: Query,
  transport: 'udp' | 'tcp',
  failure: Exclude<DnsFailure, { slowMs: number }>,
  answer: () => Buffer,
): Buffer | undefined {
  switch (failure) {
    case 'drop':
      return undefined;
    case 'truncated':
      return transport === 'tcp' ? answer() : writeAnswer(query, { code: 'NOERROR', authoritative: true, truncated: true });
    case 'malformed': {
      // Claims nine answers and has half a pointer.
      const header = Buffer.from([query.id >> 8, query.id & 0xff, 0x84, 0, 0, 1, 0, 9, 0, 0, 0, 0]);
      return Buffer.concat([header, query.question, Buffer.from([0xc0])]);
    }
    case 'servfail':
      return writeAnswer(query, { code: 'SERVFAIL', authoritative: false });
    case 'refused':
      return writeAnswer(query, { code: 'REFUSED', authoritative: false });
    case 'formerr':
      return writeAnswer(query, { code: 'FORMERR', authoritative: false });
    case 'nxdomain':
      return writeAnswer(query, { code: 'NXDOMAIN', authoritative: true });
  }
}

// Both transports need the same port. A free one for UDP may be taken for TCP, so a few are tried.
async function listenOnBoth(host: string, wanted: number): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const tcp = createServer();
    await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(wanted, host, resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    try {
      await new Promise<void>((resolve, reject) => udp.once('error', reject).bind(port, host, resolve));
      udp.removeAllListeners('error').on('error', () => undefined);
      tcp.removeAllListeners('error');
      return { udp, tcp, port };
    } catch (error) {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
      if (wanted !== 0 || attempt === 10) throw error;
    }
  }
}

function answerTo(zones: Map<string, Map<string, ZoneRecords>>, query: Query): Answer {
  if (query.opcode !== 0) return { code: 'NOTIMP', authoritative: false };
  if (query.class !== 1) return { code: 'REFUSED', authoritative: false };
  const answers: ResourceRecord[] = [];
  let name = bare(query.name);
  let owner = query.name;
  for (let hops = 0; hops < 9; hops++) {
    const zone = closestZone(zones, name);
    // A name outside of all zones doesn't exist in this internet.
    if (zone === undefined) return { code: 'NXDOMAIN', authoritative: true, answers };
    const soa = soaOf(zone.name, zone.names.get(zone.name));
    const records = zone.name === name || zone.names.has(name) ? (zone.names.get(name) ?? {}) : wildcard(zone, name);
    if (records === undefined) {
      const exists = [...zone.names.keys()].some((other) => other.endsWith(`.${name}`));
      return { code: exists ? 'NOERROR' : 'NXDOMAIN', authoritative: true, answers, authority: [soa] };
    }
    if (records.CNAME !== undefined && query.type !== recordTypes.CNAME) {
      answers.push({ name: owner, type: 'CNAME', ttlSeconds: records.ttlSeconds ?? defaultTtlSeconds, data: records.CNAME });
      name = bare(records.CNAME);
      owner = records.CNAME;
      continue;
    }
    const found = name === zone.name && query.type === recordTypes.SOA ? [soa] : recordsOf(owner, records, query.type);
    answers.push(...found);
    return { code: 'NOERROR', authoritative: true, answers, authority: found.length === 0 ? [soa] : [] };
  }
  return { code: 'SERVFAIL', authoritative: false };
}

function closestZone(
  zones: Map<string, Map<string, ZoneRecords>>,
  name: string,
): { name: string; names: Map<string, ZoneRecords> } | undefined {
  for (let zone = name; ; zone = zone.slice(zone.indexOf('.') + 1)) {
    const names = zones.get(zone);
    if (names !== undefined) return { name: zone, names };
    if (!zone.includes('.')) return undefined;
  }
}

// The wildcard of the closest encloser (RFC 4592): a name that exists on the way, also without records, blocks those above it.
function wildcard(zone: { name: string; names: Map<string, ZoneRecords> }, name: string): ZoneRecords | undefined {
  const exists = (candidate: string) => [...zone.names.keys()].some((other) => other === candidate || other.endsWith(`.${candidate}`));
  if (exists(name)) return undefined;
  for (let parent = name.slice(name.indexOf('.') + 1); parent.length >= zone.name.length; parent = parent.slice(parent.indexOf('.') + 1)) {
    const records = zone.names.get(`*.${parent}`);
    if (records !== undefined || exists(parent) || parent === zone.name) return records;
  }
  return undefined;
}

function recordsOf(name: string, records: ZoneRecords, type: number): ResourceRecord[] {
  const ttlSeconds = records.ttlSeconds ?? defaultTtlSeconds;
  switch (type) {
    case recordTypes.A:
      return (records.A ?? []).map((data) => ({ name, type: 'A', ttlSeconds, data }));
    case recordTypes.AAAA:
      return (records.AAAA ?? []).map((data) => ({ name, type: 'AAAA', ttlSeconds, data }));
    case recordTypes.MX:
      return (records.MX ?? []).map((data) => ({ name, type: 'MX', ttlSeconds, data }));
    case recordTypes.TXT:
      return (records.TXT ?? []).map((data) => ({ name, type: 'TXT', ttlSeconds, data: typeof data === 'string' ? pieces(data) : data }));
    case recordTypes.NS:
      return (records.NS ?? []).map((data) => ({ name, type: 'NS', ttlSeconds, data }));
    case recordTypes.PTR:
      return (records.PTR ?? []).map((data) => ({ name, type: 'PTR', ttlSeconds, data }));
    case recordTypes.CNAME:
      return records.CNAME === undefined ? [] : [{ name, type: 'CNAME', ttlSeconds, data: records.CNAME }];
    case recordTypes.ANY: {
      // RFC 8482: one of the sets is enough.
      const types = [recordTypes.A, recordTypes.AAAA, recordTypes.MX, recordTypes.TXT, recordTypes.NS];
      return types.map((one) => recordsOf(name, records, one)).find((found) => found.length > 0) ?? [];
    }
    default:
      return [];
  }
}

function soaOf(zone: string, apex: ZoneRecords | undefined): ResourceRecord {
  const made: Soa = {
    primary: apex?.NS?.[0] ?? `ns.${zone}`,
    admin: `hostmaster.${zone}`,
    serial: 1,
    refreshSeconds: 3600,
    retrySeconds: 600,
    expireSeconds: 86_400,
    minimumSeconds: defaultTtlSeconds,
  };
  return { name: zone, type: 'SOA', ttlSeconds: apex?.ttlSeconds ?? defaultTtlSeconds, data: apex?.SOA ?? made };
}

// What doesn't fit goes out with TC and no records at all: no part of a set may be taken for the whole (RFC 2181 section 9).
function fit(query: Query, transport: 'udp' | 'tcp', answer: Answer): Buffer {
  const packet = writeAnswer(query, answer);
  const limit = transport === 'tcp' ? 65_535 : Math.min(Math.max(query.ednsUdpSize ?? 512, 512), 1232);
  return packet.length <= limit ? packet : writeAnswer(query, { code: answer.code, authoritative: answer.authoritative, truncated: true });
}

function pieces(text: string): string[] {
  const bytes = Buffer.from(text);
  if (bytes.length <= 255) return [text];
  const cut: string[] = [];
  // Counted in bytes; a character must not be torn.
  let piece = '';
  for (const character of text) {
    if (Buffer.byteLength(piece) + Buffer.byteLength(character) > 255) {
      cut.push(piece);
      piece = '';
    }
    piece += character;
  }
  return [...cut, piece];
}

function bare(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
}

function typeName(type: number): string {
  return Object.entries(recordTypes).find(([, number]) => number === type)?.[0] ?? `TYPE${type}`;
}
