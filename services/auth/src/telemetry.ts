// Every counter and log line that auth emits. Ids may be logged; keys, hashes of keys and addresses of people never are.

import type { Logger } from '@maildoot/runtime/logger';
import { counter } from '@maildoot/runtime/telemetry';

const authentications = counter('auth', 'auth.authentications', { description: 'Credentials presented, by outcome.' });
const keysCreated = counter('auth', 'auth.api_keys.created', { description: 'API keys made, by scope.' });
const keysRevoked = counter('auth', 'auth.api_keys.revoked', { description: 'API keys revoked.' });
const tenantsCreated = counter('auth', 'auth.tenants.created', { description: 'Tenants made.' });
const lastUsedLost = counter('auth', 'auth.last_used.lost', { description: 'Times of last use that could not be written.' });

const logins = counter('auth', 'auth.logins', { description: 'Passwords presented, by outcome.' });
const tokensReused = counter('auth', 'auth.refresh_tokens.reused', {
  description: 'Refresh tokens that came a second time: their session ended.',
});
const auditLost = counter('auth', 'auth.audit.lost', { description: 'Entries of what failed that could not be written.' });
const noticesLate = counter('auth', 'auth.notices.late', { description: 'Tries to send a notice that failed.' });

/** The caller is told less: all but `ok` are INVALID_TOKEN. */
type AuthenticationOutcome = 'ok' | 'unknown' | 'revoked' | 'expired';

export const telemetry = {
  /** The key's owner is who should learn that it was tried after its end; `apiKeyId` is empty for an unknown one. */
  authenticated(logger: Logger, outcome: AuthenticationOutcome, apiKeyId = ''): void {
    authentications.add(1, { outcome });
    if (outcome === 'revoked' || outcome === 'expired') logger.info({ api_key_id: apiKeyId, outcome }, 'an ended API key was presented');
  },
  tokenPresented(logger: Logger, outcome: 'ok' | 'unknown' | 'revoked', userId: string): void {
    authentications.add(1, { outcome });
    if (outcome === 'revoked') logger.info({ user_id: userId, outcome }, 'an ended personal access token was presented');
  },
  tokenRegenerated(logger: Logger, userId: string): void {
    logger.info({ user_id: userId }, 'personal access token made');
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
  loggedIn(logger: Logger, userId: string): void {
    logins.add(1, { outcome: 'ok' });
    logger.info({ user_id: userId }, 'login');
  },
  loginFailed(_logger: Logger): void {
    logins.add(1, { outcome: 'refused' });
  },
  refreshTokenReused(logger: Logger, sessionId: string): void {
    tokensReused.add(1);
    logger.warn({ session_id: sessionId }, 'a refresh token came a second time: its session is ended');
  },
  passwordSet(logger: Logger, userId: string): void {
    logger.info({ user_id: userId }, 'password set by a link');
  },
  signingKeyRotated(logger: Logger, kid: string, compromised: boolean): void {
    logger.info({ kid, compromised }, 'another key signs access tokens');
  },
  tenantSuspended(logger: Logger, tenantId: string): void {
    logger.warn({ tenant_id: tenantId }, 'tenant suspended');
  },
  tenantReleased(logger: Logger, tenantId: string): void {
    logger.warn({ tenant_id: tenantId }, 'tenant released');
  },
  noticesNotSent(logger: Logger, error: unknown): void {
    noticesLate.add(1);
    logger.warn({ err: error }, 'a notice could not be sent; tried again later');
  },
  notesNotWritten(logger: Logger, error: unknown, count: number): void {
    auditLost.add(count);
    logger.warn({ err: error, count }, 'entries of the audit log could not be written');
  },
  partitionsNotKept(logger: Logger, error: unknown): void {
    logger.error({ err: error }, 'partitions of the audit log could not be made; tried again later');
  },
  notTended(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'what is over could not be put away; tried again later');
  },
  answersNotExpired(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'expired idempotency records could not be removed; tried again later');
  },
};
