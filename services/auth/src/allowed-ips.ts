// The addresses a key may be used from: CIDR blocks (RFC 4632, RFC 4291 section 2.3), kept in one spelling.

import { parseCidr } from '@maildoot/runtime/networks';

/**
 * `198.51.100.7` → `198.51.100.7/32`, `2001:DB8::/32` → `2001:db8::/32`. Beside what is no network, two things are refused that one
 * could guess at: bits set behind the prefix (`10.0.0.1/8` says two things; which was meant is the customer's to say), and IPv4 inside
 * IPv6 (callers' addresses are compared as IPv4, so the block would never match).
 */
export function normaliseCidr(text: string): string | { message: string } {
  const trimmed = text.trim();
  const network = parseCidr(trimmed);
  if (network === undefined) return { message: 'Write an IPv4 or IPv6 address or block: 198.51.100.7, 198.51.100.0/24, 2001:db8::/32.' };
  if (network.canonical !== undefined) {
    return {
      message: `There are bits set behind the prefix. The block is ${network.canonical}; for a single address leave the prefix out.`,
    };
  }
  const { address, prefix } = network;
  if (address.range() === 'ipv4Mapped') return { message: 'Write the IPv4 address or block itself, without ::ffff: in front.' };
  return `${address.toString()}/${prefix}`;
}
