// Whether a key that was found still counts.

/** The times are the key's row's; an instant that has come counts as passed. */
export function standing(key: { revokedAt: Date | null; expiresAt: Date | null }, now: Date): 'ok' | 'revoked' | 'expired' {
  if (key.revokedAt !== null) return 'revoked';
  return key.expiresAt !== null && key.expiresAt <= now ? 'expired' : 'ok';
}
