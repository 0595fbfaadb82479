// RotateDkim: begins to change the signing key.

import type { RotateDkimRequest, RotateDkimResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { parseDomainName } from '../domain-name.ts';
import { noSuchDomain } from '../errors.ts';
import { repeatableOf } from '../repeatable.ts';
import { type Rotator, rotateDkim as rotate } from '../rotate-dkim.ts';
import { telemetry } from '../telemetry.ts';

export function rotateDkim(rotator: Rotator) {
  return async (request: RotateDkimRequest, call: RpcCall): Promise<RotateDkimResponse> => {
    const tenantId = callingTenant(call);
    const name = parseDomainName(request.domain);
    const result = name.ok ? await rotate(rotator, tenantId, name.name, repeatableOf(request)) : undefined;
    if (!name.ok || result === undefined) throw noSuchDomain();
    const { domain, replayed, begun } = result;
    if (begun) telemetry.rotationBegun(call.logger, name.name);
    return { domain, replayed };
  };
}
