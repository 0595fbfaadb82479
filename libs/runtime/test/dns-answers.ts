/**
 * A DNS server of a page, for the resolver's and the guard's tests (RFC 1035 section 4). `libs/testkit` has the real one; it stands above
 * this library and can't be used here.
 */
import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

const TYPES = { A: 1, NS: 2, CNAME: 5, MX: 15, TXT: 16, AAAA: 28 } as const;
const RCODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;

/** By `TYPE name`: records in a handy notation, an rcode, nothing (`[]`), or `drop` for no answer. What isn't listed does not exist. */
export type Zone = Record<string, string[] | keyof typeof RCODES | 'drop'>;

export interface DnsAnswers extends AsyncDisposable {
  readonly address: string;
  /** The questions that came, as `TYPE name`. */
  readonly asked: string[];
}

export async function startDnsAnswers(zone: Zone): Promise<DnsAnswers> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, from) => {
    const { name, type, end } = question(query);
    const key = `${type} ${name}`;
    asked.push(key);
    const found = zone[key] ?? 'NXDOMAIN';
    if (found === 'drop') return;
    const records = Array.isArray(found) ? found.map((text) => record(type, text)) : [];
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (Array.isArray(found) ? 0 : RCODES[found]), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    socket.send(Buffer.concat([header, query.subarray(12, end), ...records]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

function question(query: Buffer): { name: string; type: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const number = query.readUInt16BE(at + 1);
  const type = Object.entries(TYPES).find(([, value]) => value === number)?.[0] ?? String(number);
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

function record(type: string, text: string): Buffer {
  const data = recordData(type, text);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(TYPES[type as keyof typeof TYPES], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function recordData(type: string, text: string): Buffer {
  if (isIP(text) !== 0) return Buffer.from(ipaddr.parse(text).toByteArray());
  if (type === 'TXT') return Buffer.concat(text.split('|').map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])));
  if (type === 'MX') {
    const [priority = '0', exchange = ''] = text.split(' ');
    return Buffer.concat([Buffer.from([0, Number(priority)]), nameData(exchange)]);
  }
  return nameData(text);
}

function nameData(name: string): Buffer {
  const labels = name === '' || name === '.' ? [] : name.split('.');
  return Buffer.concat([...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);
}
