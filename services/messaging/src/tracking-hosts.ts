// Where a message's links to us begin: at the host below its own domain that leads to us, where the domain has a verified one (a CNAME that its
// owner publishes), else at our public address. Asked for messages with such links alone; an answer is kept for a minute, and for longer
// while there is no other.
import type { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcClient } from '@maildoot/rpc/client';
import type { Clock } from '@maildoot/runtime/clock';

/** A message isn't held up for longer by what is only nicer. */
const deadlineMs = 500;
const keptForMs = 60_000;
const keptAfterFailureMs = 5_000;
const maxKept = 10_000;

export interface TrackingHosts {
  /** @param linkUrl our public address, without a slash at the end; its scheme and port are those of every host that leads to us */
  urlFor(sender: { tenantId: string; domain: string; requestId: string }, linkUrl: string): Promise<string>;
}

export function createTrackingHosts(parts: {
  domains: Pick<RpcClient<typeof DomainServiceService>, 'getMailHosts'>;
  clock: Clock;
}): TrackingHosts {
  const kept = new Map<string, { host: string; untilMs: number }>();
  // One question about a domain, however many messages wait for it.
  const asking = new Map<string, Promise<string>>();

  function hostOf(tenantId: string, domain: string, requestId: string): string | Promise<string> {
    const key = `${tenantId} ${domain}`;
    const known = kept.get(key);
    if (known !== undefined && known.untilMs > parts.clock.now().getTime()) return known.host;
    const asked = asking.get(key) ?? ask(key, { tenantId, domain, requestId }).finally(() => asking.delete(key));
    asking.set(key, asked);
    return asked;
  }

  async function ask(key: string, { tenantId, domain, requestId }: Record<'tenantId' | 'domain' | 'requestId', string>): Promise<string> {
    const answer = await parts.domains.getMailHosts({ domain }, { tenantId, requestId, deadlineMs }).catch(() => undefined);
    const host = answer?.trackingHost ?? kept.get(key)?.host ?? '';
    if (kept.size >= maxKept) kept.clear();
    kept.set(key, { host, untilMs: parts.clock.now().getTime() + (answer === undefined ? keptAfterFailureMs : keptForMs) });
    return host;
  }

  return {
    async urlFor({ tenantId, domain, requestId }, linkUrl) {
      const host = domain === '' ? '' : await hostOf(tenantId, domain, requestId);
      if (host === '') return linkUrl;
      const { protocol, port } = new URL(linkUrl);
      return `${protocol}//${host}${port === '' ? '' : `:${port}`}`;
    },
  };
}
