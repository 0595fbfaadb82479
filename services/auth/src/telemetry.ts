// Every counter and log line that auth emits. Ids may be logged; keys, hashes of keys and addresses of people never are.

import type { Logger } from '@maildoot/runtime/logger';
import { counter } from '@maildoot/runtime/telemetry';

const authentications = counter('auth', 'auth.authentications', { description: 'Credentials presented, by outcome.' });
const keysCreated = counter('auth', 'auth.api_keys.created', { description: 'API keys made, by scope.' });
const keysRevoked = counter('auth', 'auth.api_keys.revoked', { description: 'API keys revoked.' });
const tenantsCreated = counter('auth', 'auth.tenants.created', { description: 'Tenants made.' });
const lastUsedLost = counter('auth', 'auth.last_used.lost', { description: 'Times of last use that could not be written.' });

/** The caller is told less: all but `ok` are INVALID_TOKEN. */
export type AuthenticationOutcome = 'ok' | 'unknown' | 'revoked' | 'expired';

export const telemetry = {
  /** The key's owner is who should learn that it was tried after its end; `apiKeyId` is empty for an unknown one. */
  authenticated(logger: Logger, outcome: AuthenticationOutcome, apiKeyId = ''): void {
    authentications.add(1, { outcome });
    if (outcome === 'revoked' || outcome === 'expired') logger.info({ api_key_id: apiKeyId, outcome }, 'an ended API key was presented');
  },
  keyCreated(logger: Logger, apiKeyId: string, scope: string): void {
    keysCreated.add(1, { scope });
    logger.info({ api_key_id: apiKeyId, scope }, 'API key made');
  },
  keyRevoked(logger: Logger, apiKeyId: string): void {
    keysRevoked.add(1);
    logger.info({ api_key_id: apiKeyId }, 'API key revoked');
  },
  tenantCreated(logger: Logger, tenantId: string, userId: string): void {
    tenantsCreated.add(1);
    logger.info({ tenant_id: tenantId, user_id: userId }, 'tenant made');
  },
  lastUsedNotWritten(logger: Logger, error: unknown, count: number): void {
    lastUsedLost.add(count);
    logger.warn({ err: error, count }, 'the time of last use of some API keys could not be written; the next use writes it');
  },
  answersNotExpired(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'expired idempotency records could not be removed; tried again later');
  },
};
