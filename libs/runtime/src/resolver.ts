/**
 * DNS as the platform asks it: one resolver, on the servers of the setting DNS_SERVERS where that is given, and failures told apart.
 * "The name does not exist" and "nobody answered" lead to opposite decisions about a message, so no caller may confuse them.
 */
import type { MxRecord } from 'node:dns';
import { promises as dns } from 'node:dns';

/**
 * - `NXDOMAIN`: the name does not exist (RFC 8020).
 * - `NODATA`: the name exists, without a record of this type.
 * - `SERVFAIL`: a server answered that it can't say (also REFUSED and broken answers).
 * - `TIMEOUT`: no server answered.
 * - `BAD_NAME`: the name can't be asked for.
 */
export type DnsFailure = 'NXDOMAIN' | 'NODATA' | 'SERVFAIL' | 'TIMEOUT' | 'BAD_NAME';

export type RecordType = 'MX' | 'A' | 'AAAA' | 'TXT' | 'NS' | 'CNAME';

export class DnsError extends Error {
  override readonly name = 'DnsError';
  readonly code: DnsFailure;
  readonly hostname: string;
  readonly recordType: RecordType;
  /** True when asking again later may give another answer without anybody changing the zone. */
  readonly temporary: boolean;

  constructor(code: DnsFailure, hostname: string, recordType: RecordType, cause?: unknown) {
    super(`${recordType} ${hostname}: ${EXPLANATIONS[code]}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hostname = hostname;
    this.recordType = recordType;
    this.temporary = code === 'SERVFAIL' || code === 'TIMEOUT';
  }

  /** There is no such record, by name or by type. */
  get absent(): boolean {
    return this.code === 'NXDOMAIN' || this.code === 'NODATA';
  }
}

/** Each rejects with a DnsError, never with an empty list; an aborted one with the signal's reason. */
export interface Resolver {
  /** As published, by priority. A null MX (RFC 7505) is one record with an empty exchange. */
  resolveMx(name: string, signal?: AbortSignal): Promise<MxRecord[]>;
  resolve4(name: string, signal?: AbortSignal): Promise<string[]>;
  resolve6(name: string, signal?: AbortSignal): Promise<string[]>;
  /** One text per record, its strings put together (RFC 7208 section 3.3). */
  resolveTxt(name: string, signal?: AbortSignal): Promise<string[]>;
  resolveNs(name: string, signal?: AbortSignal): Promise<string[]>;
  resolveCname(name: string, signal?: AbortSignal): Promise<string[]>;
}

export interface ResolverOptions {
  /** For the first try; the second waits longer. */
  readonly timeoutMs?: number;
  readonly tries?: number;
}

/** A resolver on these servers (`ip:port`), or on the system's when the list is empty. */
export function createResolver(dnsServers: readonly string[], options: ResolverOptions = {}): Resolver {
  const resolver = new dns.Resolver({ timeout: options.timeoutMs ?? 2000, tries: options.tries ?? 2 });
  if (dnsServers.length > 0) resolver.setServers(dnsServers);

  const ask = async <T>(
    name: string,
    type: RecordType,
    signal: AbortSignal | undefined,
    query: (name: string) => Promise<T[]>,
  ): Promise<T[]> => {
    signal?.throwIfAborted();
    const question = name.endsWith('.') ? name.slice(0, -1) : name;
    // What isn't a name must not reach c-ares, which reads some of it as an address or as an escape.
    if (!isAskable(question)) throw new DnsError('BAD_NAME', name, type);
    let records: T[];
    try {
      records = await untilAborted(query(question), signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw new DnsError(failureOf(error), name, type, error);
    }
    if (records.length === 0) throw new DnsError('NODATA', name, type);
    return records;
  };

  return {
    resolveMx: async (name, signal) =>
      (await ask(name, 'MX', signal, (one) => resolver.resolveMx(one))).sort((a, b) => a.priority - b.priority),
    resolve4: (name, signal) => ask(name, 'A', signal, (one) => resolver.resolve4(one)),
    resolve6: (name, signal) => ask(name, 'AAAA', signal, (one) => resolver.resolve6(one)),
    resolveTxt: async (name, signal) =>
      (await ask(name, 'TXT', signal, (one) => resolver.resolveTxt(one))).map((strings) => strings.join('')),
    resolveNs: (name, signal) => ask(name, 'NS', signal, (one) => resolver.resolveNs(one)),
    resolveCname: (name, signal) => ask(name, 'CNAME', signal, (one) => resolver.resolveCname(one)),
  };
}

const EXPLANATIONS: Record<DnsFailure, string> = {
  NXDOMAIN: 'the name does not exist',
  NODATA: 'there is no such record',
  SERVFAIL: 'the name server could not answer',
  TIMEOUT: 'no name server answered in time',
  BAD_NAME: 'this is no name',
};

function failureOf(error: unknown): DnsFailure {
  switch ((error as { code?: unknown }).code) {
    case 'ENOTFOUND':
      return 'NXDOMAIN';
    case 'ENODATA':
      return 'NODATA';
    case 'ETIMEOUT':
    case 'ECONNREFUSED':
      return 'TIMEOUT';
    case 'EBADNAME':
      return 'BAD_NAME';
    default:
      return 'SERVFAIL';
  }
}

function isAskable(name: string): boolean {
  return name.length > 0 && name.length <= 253 && name.split('.').every((label) => /^[A-Za-z0-9_*-]{1,63}$/.test(label));
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
