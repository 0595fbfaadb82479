// Who takes mail for a domain: RFC 5321 section 5.1, null MX (RFC 7505). Asks DNS, decides nothing about messages; the one thing it never
// does is to confuse "there is nobody" with "nobody answered".
import { isHostName } from '@maildoot/mail/domain';
import { DnsError, type Resolver } from '@maildoot/runtime/resolver';

export interface MailHost {
  /** Lower case, without a final dot. */
  name: string;
  preference: number;
}

export type MailHosts =
  /** By preference, the best first; never empty. */
  | { kind: 'hosts'; hosts: MailHost[] }
  /** RFC 7505: the domain says that it takes no mail. */
  | { kind: 'null_mx'; detail: string }
  /** The domain does not exist, or has neither MX nor address. */
  | { kind: 'no_such_domain'; detail: string }
  /** No name server gave an answer: ask again later. */
  | { kind: 'dns_unavailable'; detail: string };

// Beyond this a domain is misconfigured or means harm: every host may cost a minute.
const maxHosts = 20;

export async function findMailHosts(domain: string, resolver: Pick<Resolver, 'resolveMx' | 'resolve4' | 'resolve6'>): Promise<MailHosts> {
  try {
    const records = await resolver.resolveMx(domain);
    // One record with an empty exchange. Beside other records it is an error of the domain's, and those others are meant.
    const named = records
      .map((record) => ({ name: bare(record.exchange), preference: record.priority }))
      .filter((host) => host.name !== '');
    if (named.length === 0) return { kind: 'null_mx', detail: `${domain} publishes that it takes no mail (null MX)` };
    const hosts = named.filter((host) => isHostName(host.name)).sort((a, b) => a.preference - b.preference);
    if (hosts.length === 0) return { kind: 'no_such_domain', detail: `the MX records of ${domain} hold no host name` };
    return { kind: 'hosts', hosts: hosts.slice(0, maxHosts) };
  } catch (error) {
    if (!(error instanceof DnsError)) throw error;
    if (error.code === 'NXDOMAIN') return { kind: 'no_such_domain', detail: `the domain ${domain} does not exist` };
    if (error.code === 'BAD_NAME') return { kind: 'no_such_domain', detail: `${domain} is no domain name` };
    if (error.code !== 'NODATA') return { kind: 'dns_unavailable', detail: error.message };
  }
  // No MX record: the domain itself is the host, if it has an address (the implicit MX).
  const answers = await Promise.allSettled([resolver.resolve4(domain), resolver.resolve6(domain)]);
  if (answers.some((answer) => answer.status === 'fulfilled')) return { kind: 'hosts', hosts: [{ name: bare(domain), preference: 0 }] };
  const reasons = answers.flatMap((answer): unknown[] => (answer.status === 'rejected' ? [answer.reason] : []));
  const foreign = reasons.find((reason) => !(reason instanceof DnsError));
  if (foreign !== undefined) throw foreign;
  const unanswered = reasons.find((reason) => reason instanceof DnsError && !reason.absent);
  if (unanswered instanceof DnsError) return { kind: 'dns_unavailable', detail: unanswered.message };
  return { kind: 'no_such_domain', detail: `${domain} has neither MX nor address records` };
}

/**
 * The order to try hosts in: by preference, those of equal preference at random, so that load spreads (RFC 5321 section 5.1). Among
 * equals those that have an open session come first: a session reused is a session not opened.
 */
export function inOrder(hosts: readonly MailHost[], hasSession: (name: string) => boolean, random: () => number = Math.random): MailHost[] {
  return hosts
    .map((host) => ({ host, open: hasSession(host.name) ? 0 : 1, lot: random() }))
    .sort((a, b) => a.host.preference - b.host.preference || a.open - b.open || a.lot - b.lot)
    .map(({ host }) => host);
}

function bare(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
}
