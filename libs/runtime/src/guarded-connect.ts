/**
 * Connections to names that a customer influences: a recipient's MX, a webhook's host, a customer's name server. The name is resolved
 * once, addresses inside our own networks are refused, and the connection goes to the very address that was checked: a second lookup
 * could give another answer (DNS rebinding).
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { parseCidr } from './networks.ts';
import { DnsError, type Resolver } from './resolver.ts';

/**
 * - `ADDRESS_REFUSED`: every address of the name is one that we don't connect to.
 * - `NO_ADDRESS`: the name does not exist or has no address.
 * - `DNS_FAILED`: the name servers gave no answer; later they may.
 * - `CONNECT_FAILED`: no address took the connection.
 * - `TIMEOUT`: the time was over first.
 */
export type GuardedConnectFailure = 'ADDRESS_REFUSED' | 'NO_ADDRESS' | 'DNS_FAILED' | 'CONNECT_FAILED' | 'TIMEOUT';

export class GuardedConnectError extends Error {
  override readonly name = 'GuardedConnectError';
  readonly code: GuardedConnectFailure;
  readonly host: string;
  readonly port: number;
  /** The addresses refused or tried. */
  readonly addresses: readonly string[];

  constructor(code: GuardedConnectFailure, host: string, port: number, addresses: readonly string[], cause?: unknown) {
    super(
      `${host}:${port}: ${EXPLANATIONS[code]}${addresses.length > 0 ? ` (${addresses.join(', ')})` : ''}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.host = host;
    this.port = port;
    this.addresses = addresses;
  }
}

export interface GuardedConnectOptions {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly resolver: Pick<Resolver, 'resolve4' | 'resolve6'>;
  /** Networks that are allowed although they are private, as the setting ALLOW_NETWORKS has them. */
  readonly allowNetworks: readonly string[];
  /** For all of it: lookup and connection. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A connected TCP socket and the address it is connected to. Rejects with GuardedConnectError, or with the signal's reason. */
export async function guardedConnect(options: GuardedConnectOptions): Promise<{ socket: Socket; address: string }> {
  const { host, port, signal } = options;
  const endsAt = performance.now() + options.timeoutMs;
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const both = signal ? AbortSignal.any([signal, timeout]) : timeout;
  signal?.throwIfAborted();

  const addresses = await findAddresses(options, both, signal);
  const allowed = addresses.filter((address) => !isRefusedAddress(address, options.allowNetworks));
  if (allowed.length === 0) throw new GuardedConnectError('ADDRESS_REFUSED', host, port, addresses);

  let failure: unknown;
  for (const [index, address] of allowed.entries()) {
    // Each address gets its share of what is left, so that a silent first one doesn't use up all of it.
    const shareMs = Math.max(1, (endsAt - performance.now()) / (allowed.length - index));
    try {
      return { socket: await connectTo(address, port, shareMs, both), address };
    } catch (error) {
      signal?.throwIfAborted();
      failure = error;
    }
  }
  throw new GuardedConnectError(
    timeout.aborted || failure instanceof AttemptTimeout ? 'TIMEOUT' : 'CONNECT_FAILED',
    host,
    port,
    allowed,
    failure,
  );
}

/**
 * Whether we refuse to connect to an address: everything that isn't ordinary public unicast, in whichever form it is written (an IPv4
 * address inside an IPv6 one counts as itself), and everything that is no address. `allowNetworks` makes the only exceptions.
 */
export function isRefusedAddress(ip: string, allowNetworks: readonly string[]): boolean {
  if (isIP(ip) === 0 || ip.includes('%')) return true;
  const address = unmapped(ipaddr.parse(ip));
  if (allowNetworks.some((network) => contains(network, address))) return false;
  // ipaddr.js calls everything special by its name: private, loopback, linkLocal, carrierGradeNat, uniqueLocal, multicast, reserved,
  // rfc6052 (NAT64), 6to4, teredo and more. A list of what is refused would miss the next one.
  if (address.range() !== 'unicast') return true;
  return EXTRA_REFUSED.some((network) => contains(network, address));
}

const EXPLANATIONS: Record<GuardedConnectFailure, string> = {
  ADDRESS_REFUSED: 'only addresses that are not connected to',
  NO_ADDRESS: 'no address',
  DNS_FAILED: 'the name could not be looked up',
  CONNECT_FAILED: 'the connection failed',
  TIMEOUT: 'no connection in time',
};

const EXTRA_REFUSED = [
  // Azure's platform address: public in form, and answers with credentials.
  '168.63.129.16/32',
  // NAT64 with a prefix of one's own (RFC 8215), IPv4-compatible (RFC 4291 section 2.5.5.1), site-local (RFC 3879), SRv6 (RFC 9602).
  '64:ff9b:1::/48',
  '::/96',
  'fec0::/10',
  '5f00::/16',
];

const OTHER_FAMILY_WAIT_MS = 250;

class AttemptTimeout extends Error {}

/** The addresses of a name, IPv4 first: mail from IPv6 addresses without good reverse names is refused by the large receivers. */
async function findAddresses(options: GuardedConnectOptions, both: AbortSignal, signal: AbortSignal | undefined): Promise<string[]> {
  const { host, port, resolver } = options;
  if (isIP(host) !== 0) return [host];
  const found = await lookUpBoth(resolver, host, both);
  signal?.throwIfAborted();
  if (found.addresses.length > 0) return found.addresses;
  if (both.aborted) throw new GuardedConnectError('TIMEOUT', host, port, []);
  const absent = found.reasons.every((reason) => reason instanceof DnsError && (reason.absent || reason.code === 'BAD_NAME'));
  const cause = found.reasons.find((reason) => !(reason instanceof DnsError && reason.absent)) ?? found.reasons[0];
  throw new GuardedConnectError(absent ? 'NO_ADDRESS' : 'DNS_FAILED', host, port, [], cause);
}

/** Asks for A and AAAA at once. When one has addresses, the other gets little more time: a server that drops AAAA must not cost the delivery. */
function lookUpBoth(
  resolver: Pick<Resolver, 'resolve4' | 'resolve6'>,
  host: string,
  signal: AbortSignal,
): Promise<{ addresses: string[]; reasons: unknown[] }> {
  return new Promise((resolve) => {
    const byFamily: string[][] = [[], []];
    const reasons: unknown[] = [];
    let open = 2;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      resolve({ addresses: byFamily.flat(), reasons });
    };
    const settled = (): void => {
      open--;
      if (open === 0) finish();
      else if (byFamily.flat().length > 0) timer = setTimeout(finish, OTHER_FAMILY_WAIT_MS);
    };
    for (const [index, lookup] of [resolver.resolve4(host, signal), resolver.resolve6(host, signal)].entries()) {
      lookup
        .then(
          (addresses) => {
            byFamily[index] = addresses;
          },
          (reason: unknown) => {
            reasons.push(reason);
          },
        )
        .then(settled);
    }
  });
}

function connectTo(address: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: address, port });
    const timer = setTimeout(() => fail(new AttemptTimeout(`${address} did not answer in time`)), timeoutMs);
    const abort = (): void => fail(signal.reason);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.removeListener('error', fail);
      socket.removeListener('connect', connected);
    };
    function fail(error: unknown): void {
      settle();
      // The socket may still fail on its way out, and nobody listens any more.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    }
    function connected(): void {
      settle();
      resolve(socket);
    }
    socket.once('error', fail);
    socket.once('connect', connected);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function contains(cidr: string, address: Address): boolean {
  const network = parseCidr(cidr);
  if (!network || network.address.kind() !== address.kind()) return false;
  return address.match(network.address, network.prefix);
}
