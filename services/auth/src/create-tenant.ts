// Making a tenant: itself, its owner and a full key, in one transaction, by RPC and by command.

import type { CreateTenantRequest, CreateTenantResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { makeKey } from './create-api-key.ts';
import { errors } from './errors.ts';
import { checkNewTenant } from './new-tenant.ts';
import { shownKey } from './shown-key.ts';
import type { Store } from './store.ts';

export async function createTenant(maker: { store: Store; clock: Clock }, request: CreateTenantRequest): Promise<CreateTenantResponse> {
  const checked = checkNewTenant(request);
  if (!checked.ok)
    throw errors.VALIDATION_ERROR({ message: 'The tenant can’t be made like this; the issues say why.', issues: checked.issues });

  const now = maker.clock.now();
  const { name, email, emailFolded } = checked.value;
  const [tenantId, userId] = [newUuid(), newUuid()];
  const wanted = {
    name: 'First key',
    scope: 'full' as const,
    expiresAt: undefined,
    allowedIps: [],
    allowedDomains: [],
    test: false,
    dailyLimit: 0,
  };
  const { stored, key } = makeKey(wanted, tenantId, now);
  const outcome = await maker.store.insertTenant({
    id: tenantId,
    name,
    createdAt: now,
    owner: { id: userId, email, emailFolded },
    apiKey: stored,
  });
  if (outcome === 'email_taken') throw errors.CONFLICT({ message: 'This address belongs to a tenant already; give another one.' });
  return {
    tenantId: uuidToId('ten', tenantId),
    userId: uuidToId('usr', userId),
    apiKey: shownKey({ ...stored, lastUsedAt: null }),
    key,
  };
}
