// Which From domains a tenant may send from, as domain-provisioning says. A yes is remembered for 10 s, and for a minute while nobody can be
// asked; a no is not, so that a domain works at once when it was verified. However many requests wait, one question per tenant is under way: those that come meanwhile share the
// next one, because an answer that was asked for before a domain was verified may say no wrongly.
import type { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcClient } from '@maildoot/rpc/client';
import { RpcError } from '@maildoot/rpc/errors';
import type { Clock } from '@maildoot/runtime/clock';
import { errors } from './errors.ts';

/** How long a verified domain is taken for verified without asking. */
export const verifiedForMs = 10_000;
/** How long it is while the question gets no answer. Delivery signs with the domain's key, or sends nothing. */
export const verifiedWithoutAnswerForMs = 60_000;
/** A hundred thousand domains of a long name are 20 MB. */
const maxRemembered = 100_000;

export interface SenderDomains {
  /** The verified ones among these. Throws UNAVAILABLE when domain-provisioning can't be asked. */
  verified(tenantId: string, domains: readonly string[], requestId: string): Promise<Set<string>>;
}

interface Question {
  domains: Set<string>;
  answer: Promise<Set<string>>;
}

export function createSenderDomains(parts: {
  domains: Pick<RpcClient<typeof DomainServiceService>, 'checkSenderDomains'>;
  clock: Clock;
}): SenderDomains {
  // When it was said that the tenant's domain is verified.
  const saidAt = new Map<string, number>();
  const underWay = new Map<string, Promise<unknown>>();
  const waiting = new Map<string, Question>();

  async function ask(tenantId: string, domains: Set<string>, requestId: string): Promise<Set<string>> {
    const { verified } = await parts.domains.checkSenderDomains({ domains: [...domains] }, { tenantId, requestId });
    if (saidAt.size + verified.length > maxRemembered) saidAt.clear();
    const now = parts.clock.now().getTime();
    for (const domain of domains) saidAt.delete(`${tenantId} ${domain}`);
    for (const domain of verified) saidAt.set(`${tenantId} ${domain}`, now);
    return new Set(verified);
  }

  /** Joins the question that has not been sent yet, or makes one that is sent when the one under way is answered. */
  function askTogether(tenantId: string, domains: readonly string[], requestId: string): Promise<Set<string>> {
    const joined = waiting.get(tenantId);
    if (joined !== undefined) {
      for (const domain of domains) joined.domains.add(domain);
      return joined.answer;
    }
    const asked = new Set(domains);
    const turn = (underWay.get(tenantId) ?? Promise.resolve()).then(() => {
      waiting.delete(tenantId);
      const answer = ask(tenantId, asked, requestId);
      const settled = answer.catch(() => undefined).finally(() => underWay.get(tenantId) === settled && underWay.delete(tenantId));
      underWay.set(tenantId, settled);
      return answer;
    });
    waiting.set(tenantId, { domains: asked, answer: turn });
    return turn;
  }

  return {
    async verified(tenantId, domains, requestId) {
      const now = parts.clock.now().getTime();
      const saidWithin = (ms: number) => (domain: string) => now - (saidAt.get(`${tenantId} ${domain}`) ?? Number.NEGATIVE_INFINITY) < ms;
      const known = new Set(domains.filter(saidWithin(verifiedForMs)));
      const unknown = domains.filter((domain) => !known.has(domain));
      if (unknown.length === 0) return known;
      try {
        const answer = await askTogether(tenantId, unknown, requestId);
        return new Set([...known, ...unknown.filter((domain) => answer.has(domain))]);
      } catch (cause) {
        if (!(cause instanceof RpcError && (cause.code === 'UNAVAILABLE' || cause.code === 'TIMEOUT'))) throw cause;
        if (unknown.every(saidWithin(verifiedWithoutAnswerForMs))) return new Set(domains);
        // Nothing has been kept yet, so a question that got no answer in time is no TIMEOUT of this call.
        throw errors.UNAVAILABLE({
          message: 'Sending domains can’t be checked at the moment. Try again shortly.',
          ...(cause.retryAfterMs === undefined ? {} : { retryAfterMs: cause.retryAfterMs }),
          cause,
        });
      }
    },
  };
}
