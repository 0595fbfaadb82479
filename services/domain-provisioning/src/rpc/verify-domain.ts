// VerifyDomain: a look at live DNS.

import type { VerifyDomainRequest, VerifyDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { parseDomainName } from '../domain-name.ts';
import { noSuchDomain } from '../errors.ts';
import { shownDomain } from '../shown-domain.ts';
import { tellOfLook } from '../telemetry.ts';
import { type Verifier, verifyDomain as verify } from '../verify-domain.ts';

/** Five seconds in all are promised; the rest is for writing down what was seen. */
const lookBudgetMs = 4500;
const writingMs = 300;

export function verifyDomain(verifier: Verifier) {
  return async (request: VerifyDomainRequest, call: RpcCall): Promise<VerifyDomainResponse> => {
    const tenantId = callingTenant(call);
    const name = parseDomainName(request.domain);
    // The deadline is real time, whatever clock decides over the calendar.
    const leftMs = call.deadline.getTime() - Date.now() - writingMs;
    const budgetMs = Math.max(1, Math.min(lookBudgetMs, Math.round(leftMs)));
    const result = name.ok ? await verify(verifier, tenantId, name.name, budgetMs, call.signal) : undefined;
    // What can't be a domain is as missing as another tenant's.
    if (result === undefined) throw noSuchDomain();
    tellOfLook(call.logger, result);
    return { domain: shownDomain(result.domain, verifier.hosts, verifier.clock.now()) };
  };
}
