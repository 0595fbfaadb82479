// Whether the holder of a credential may call an operation. One answer for whatever is in the way: what the operation needs.
import type { Principal } from './authentication.ts';
import { ApiError } from './errors.ts';
import { needs } from './openapi.ts';
import { mayWhileSuspended, type Operation } from './route.ts';

/** @throws ApiError INSUFFICIENT_SCOPE, ACCOUNT_SUSPENDED */
export function admit(principal: Principal, route: Operation): void {
  const { scope, kind } = principal;
  if (
    scope === undefined ||
    !route.scopes.includes(scope) ||
    (route.credentials !== undefined && !route.credentials.includes(kind)) ||
    (route.ownersOnly === true && !isOwner(principal)) ||
    (route.unlimitedKeysOnly === true && kind === 'key' && !isOwner(principal))
  ) {
    throw new ApiError('INSUFFICIENT_SCOPE', needs(route).replaceAll('`', ''));
  }
  if (principal.suspended && !mayWhileSuspended(route)) {
    throw new ApiError(
      'ACCOUNT_SUSPENDED',
      'The account is suspended: it may look, and do nothing. Ask whoever operates this installation.',
    );
  }
}

/** A key that nothing limits was made by an owner, or by such a key. */
function isOwner({ kind, role, test, limits }: Principal): boolean {
  if (kind !== 'key') return role === 'owner';
  const { allowedIps, allowedDomains, expiresAt, dailyLimit } = limits;
  return !test && allowedIps.length === 0 && allowedDomains.length === 0 && expiresAt === undefined && dailyLimit === 0;
}
