// Who calls, by address: the peer of the socket, or what trusted proxies say about it. X-Forwarded-For is read from its end, because
// everything left of the last untrusted hop is whatever the caller wrote.
import { BlockList, isIP } from 'node:net';

/** The caller's address; IPv4 inside IPv6 is given as IPv4. Empty when the socket is gone already. */
export function callerAddress(
  socketAddress: string | undefined,
  forwardedFor: string | string[] | undefined,
  trusted: BlockList | undefined,
): string {
  let address = plainAddress(socketAddress ?? '');
  if (trusted === undefined || forwardedFor === undefined) return address;
  const hops = String(forwardedFor).split(',').reverse();
  for (const hop of hops) {
    if (!contains(trusted, address)) break;
    const next = plainAddress(hop.trim());
    // A proxy that forwards something else than an address has said nothing that we can build on.
    if (isIP(next) === 0) break;
    address = next;
  }
  return address;
}

/** A list of networks to look addresses up in; undefined when there are none. */
export function networkList(cidrs: readonly string[]): BlockList | undefined {
  if (cidrs.length === 0) return undefined;
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [network = '', prefix] = cidr.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(network, family);
    else list.addSubnet(network, Number(prefix), family);
  }
  return list;
}

export function contains(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address);
  if (mapped) return mapped[1] ?? '';
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
