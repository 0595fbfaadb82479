// GetSigningKey: the sealed key that signs for a verified domain. It leaves as it rests; only who has SEAL_KEYS opens it.

import { normaliseDomain } from '@maildoot/mail/domain';
import type { GetSigningKeyRequest, GetSigningKeyResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import type { Store } from '../store.ts';

export function getSigningKey({ store }: { store: Store }) {
  return async (request: GetSigningKeyRequest, call: RpcCall): Promise<GetSigningKeyResponse> => {
    const tenantId = callingTenant(call);
    const name = normaliseDomain(request.domain);
    const key = name === undefined ? undefined : await store.findSigningKey(tenantId, name);
    // Pending, drifted, another tenant's or nobody's: nothing may be signed, and the caller need not know why.
    if (key === undefined)
      throw errors.DOMAIN_NOT_VERIFIED({
        message: 'The domain is not verified, so nothing is signed for it. Publish its records and verify it.',
      });
    return { selector: key.selector, sealedPrivateKey: Buffer.from(key.sealedPrivateKey) };
  };
}
