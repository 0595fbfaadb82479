/**
 * IP networks as settings and guards write them. Strict on purpose: `10.1`, `0x7f.1` or `010.0.0.1` mean different hosts to
 * different parsers, so they mean nothing here.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface Network {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
  /** How the network should have been written, where bits stand behind its prefix; undefined when it is written well. */
  readonly canonical: string | undefined;
}

/** Parses `a.b.c.d/n`, `x::/n` or a single address; undefined when it is none. */
export function parseCidr(text: string): Network | undefined {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const family = isIP(host);
  if (family === 0 || host.includes('%')) return undefined;
  const bits = family === 4 ? 32 : 128;
  const prefixText = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  if (prefix > bits) return undefined;
  const address = ipaddr.parse(host);
  const base =
    family === 4 ? ipaddr.IPv4.networkAddressFromCIDR(`${host}/${prefix}`) : ipaddr.IPv6.networkAddressFromCIDR(`${host}/${prefix}`);
  const clean = base.toByteArray().every((byte, index) => byte === address.toByteArray()[index]);
  return { address: base, prefix, canonical: clean ? undefined : `${base.toString()}/${prefix}` };
}

/** What one holder of addresses has, as far as others can tell: an IPv4 address, the /64 of an IPv6 one. Other text as it is. */
export function holderOf(address: string): string {
  if (isIP(address) !== 6) return address;
  return ipaddr.IPv6.networkAddressFromCIDR(`${address.replace(/%.*$/, '')}/64`).toString();
}
