// The refresh token's cookie (RFC 6265). Scripts don't see it, other sites don't cause it to be sent, and only the addresses below /v1/auth get
// it at all. Browsers keep `Secure` cookies of http://localhost too.
const refreshCookieName = 'maildoot_refresh';
const attributes = 'Path=/v1/auth; HttpOnly; Secure; SameSite=Strict';

export function refreshCookie(token: string, maxAgeS: number): string {
  return `${refreshCookieName}=${token}; Max-Age=${maxAgeS}; ${attributes}`;
}

export function noRefreshCookie(): string {
  return refreshCookie('', 0);
}

/** The token of a Cookie header. */
export function refreshTokenOf(cookies: string | undefined): string | undefined {
  for (const pair of cookies?.split(';') ?? []) {
    const at = pair.indexOf('=');
    if (at !== -1 && pair.slice(0, at).trim() === refreshCookieName) return pair.slice(at + 1).trim() || undefined;
  }
  return undefined;
}
