// An endpoint's URL: what it may be, and how its host is found. Looked at when it is saved, to say early what would never work, and again
// at each connection, because a name can lead elsewhere by then (guardedConnect).
import { isIP } from 'node:net';
import type { Issue } from '@maildoot/rpc/errors';
import { isRefusedAddress } from '@maildoot/runtime/guarded-connect';
import { DnsError, type Resolver } from '@maildoot/runtime/resolver';

export type HostResolver = Pick<Resolver, 'resolve4' | 'resolve6'>;

export interface Outside {
  readonly resolver: HostResolver;
  /** CALLBACK_ALLOW_NETWORKS. */
  readonly allowNetworks: readonly string[];
}

/** Name servers that don't answer must not make a form hang. Connecting asks again. */
const lookUpMs = 2_000;
const longest = 2_048;

/** localhost is this machine whatever name servers say (RFC 6761 section 6.3). */
export function knowingLocalhost(resolver: HostResolver): HostResolver {
  const isLocalhost = (name: string) => /(^|\.)localhost\.?$/i.test(name);
  return {
    resolve4: async (name, signal) => (isLocalhost(name) ? ['127.0.0.1'] : await resolver.resolve4(name, signal)),
    resolve6: async (name, signal) => (isLocalhost(name) ? ['::1'] : await resolver.resolve6(name, signal)),
  };
}

/** The host as connecting takes it: an IPv6 address without its brackets. */
export function hostOf(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

export function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
}

/** The URL in its one spelling, or what is wrong with it. */
export async function checkUrl(text: string, { resolver, allowNetworks }: Outside): Promise<{ url: string } | { issue: Issue }> {
  const issue = (code: string, message: string) => ({ issue: { path: 'url', code, message, line: undefined, column: undefined } });
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return issue('invalid_url', 'Write a whole address: https://example.com/webhooks.');
  if (text.length > longest) return issue('too_long', `An address has at most ${longest} characters.`);
  if (url.username !== '' || url.password !== '')
    return issue('invalid_url', 'An address has no user name or password: requests are signed, verify the signature.');
  url.hash = '';

  const found = await addressesOf(hostOf(url), resolver);
  if (found === 'absent') return issue('unknown_host', `There is no address for ${url.hostname}. Publish one first, or correct the name.`);
  const refused = found.filter((address) => isRefusedAddress(address, allowNetworks));
  if (refused.length > 0)
    return issue(
      'address_refused',
      `${url.hostname} leads to ${refused.join(', ')}: private, loopback, link-local and metadata addresses are not called. Use one that the internet can reach, or have the operator allow the network (CALLBACK_ALLOW_NETWORKS).`,
    );
  // Where the operator made an exception, nobody else listens on the way.
  const excepted = found.length > 0 && found.every((address) => isRefusedAddress(address, []));
  if (url.protocol === 'http:' && !excepted) return issue('https_required', 'Use https: events carry addresses.');
  return { url: url.href };
}

/** Empty: nobody answered, which says nothing. */
async function addressesOf(host: string, resolver: HostResolver): Promise<string[] | 'absent'> {
  if (isIP(host) !== 0) return [host];
  const timeout = AbortSignal.timeout(lookUpMs);
  const answers = await Promise.allSettled([resolver.resolve4(host, timeout), resolver.resolve6(host, timeout)]);
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  const absent = answers.every(
    (answer) =>
      answer.status === 'rejected' && answer.reason instanceof DnsError && (answer.reason.absent || answer.reason.code === 'BAD_NAME'),
  );
  return absent ? 'absent' : addresses;
}
