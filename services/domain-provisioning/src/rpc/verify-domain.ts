// VerifyDomain: a look at live DNS.

import { type VerifyDomainRequest, VerifyDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { parseDomainName } from '../domain-name.ts';
import { noSuchDomain } from '../errors.ts';
import { repeatableOf, storedAnswer } from '../repeatable.ts';
import { shownDomain } from '../shown-domain.ts';
import type { StoredDomain } from '../store/stored-domain.ts';
import { tellOfLook } from '../telemetry.ts';
import { type Verifier, verifyDomain as verify } from '../verify-domain.ts';

/** Five seconds in all are promised; the rest is for writing down what was seen. */
const lookBudgetMs = 4500;
const writingMs = 300;
const operation = 'verify_domain';

export function verifyDomain(verifier: Verifier) {
  return async (request: VerifyDomainRequest, call: RpcCall): Promise<VerifyDomainResponse> => {
    const tenantId = callingTenant(call);
    const name = parseDomainName(request.domain);
    // The deadline is real time, whatever clock decides over the calendar.
    const leftMs = call.deadline.getTime() - Date.now() - writingMs;
    const budgetMs = Math.max(1, Math.min(lookBudgetMs, Math.round(leftMs)));
    // What can't be a domain is as missing as another tenant's.
    if (!name.ok) throw noSuchDomain();
    const repeatable = repeatableOf(request);
    const once = repeatable && { tenantId, operation, ...repeatable };
    if (once !== undefined) {
      const finding = await verifier.store.findAnswer(once, verifier.clock.now());
      if (finding.outcome !== 'absent') return repeated(storedAnswer(finding));
    }
    const answerOf = (domain: StoredDomain): VerifyDomainResponse => ({
      domain: shownDomain(domain, verifier.hosts, verifier.clock.now()),
      replayed: false,
    });
    const result = await verify(
      verifier,
      tenantId,
      name.name,
      budgetMs,
      call.signal,
      once && { ...once, answerOf: (domain) => VerifyDomainResponse.encode(answerOf(domain)).finish() },
    );
    if (result.outcome === 'missing') throw noSuchDomain();
    if (result.outcome !== 'done') return repeated(storedAnswer(result));
    tellOfLook(call.logger, result);
    return answerOf(result.domain);
  };
}

function repeated(stored: Uint8Array): VerifyDomainResponse {
  return { ...VerifyDomainResponse.decode(stored), replayed: true };
}
