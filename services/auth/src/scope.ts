// What a key may do, and which keys it may manage. The words are the API's and the database's; the numbers are the contract's.

import { Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';

export type ScopeName = 'read' | 'send' | 'full';

/** The scope that somebody manages keys with: a role stands for one, and of members it is said below what they may not. */
export function managingScope({ callerScope, callerRole }: { callerScope: Scope; callerRole: Role }): Scope {
  switch (callerRole) {
    case Role.ROLE_UNSPECIFIED:
      return callerScope;
    case Role.ROLE_OWNER:
    case Role.ROLE_MEMBER:
      return Scope.SCOPE_FULL;
    default:
      return Scope.SCOPE_UNSPECIFIED;
  }
}

/** A full key may what an owner may, so no member makes or ends one. */
export function isForOwners(target: ScopeName, callerRole: Role): boolean {
  return target === 'full' && callerRole === Role.ROLE_MEMBER;
}

/**
 * Whether the holder of `caller` may make or revoke a key of the scope `target`: never one wider than its own, and managing keys at
 * all is part of `full` only (`read` and `send` lie beside each other, neither is wider, and neither manages keys).
 */
export function mayManage(caller: Scope, target: ScopeName): boolean {
  switch (caller) {
    case Scope.SCOPE_FULL:
      return target === 'full' || target === 'send' || target === 'read';
    case Scope.SCOPE_SEND:
    case Scope.SCOPE_READ:
    case Scope.SCOPE_UNSPECIFIED:
      return false;
    default:
      return refuseUnknown(caller);
  }
}

/** A value that a newer caller may send: no rights at all rather than a guess. */
function refuseUnknown(_scope: never): false {
  return false;
}

/** undefined for SCOPE_UNSPECIFIED and for values that this release doesn't know. */
export function scopeName(scope: Scope): ScopeName | undefined {
  switch (scope) {
    case Scope.SCOPE_READ:
      return 'read';
    case Scope.SCOPE_SEND:
      return 'send';
    case Scope.SCOPE_FULL:
      return 'full';
    default:
      return undefined;
  }
}

/** SCOPE_UNSPECIFIED for a word that this release doesn't know: a row written by a newer release grants nothing here. */
export function scopeOf(name: string): Scope {
  switch (name) {
    case 'read':
      return Scope.SCOPE_READ;
    case 'send':
      return Scope.SCOPE_SEND;
    case 'full':
      return Scope.SCOPE_FULL;
    default:
      return Scope.SCOPE_UNSPECIFIED;
  }
}
