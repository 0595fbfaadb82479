// A user as answers show them.
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { User } from '@maildoot/proto/maildoot/auth/v1/session';
import { uuidToId } from '@maildoot/runtime/ids';
import type { StoredUser } from './store/people.ts';

export type RoleName = 'owner' | 'member' | 'viewer';

export function shownUser(user: StoredUser): User {
  return {
    id: uuidToId('usr', user.id),
    email: user.email,
    role: roleOf(user.role),
    tenantId: uuidToId('ten', user.tenantId),
    active: user.passwordHash !== null,
    createdAt: user.createdAt,
    lastLoginAt: user.lastLoginAt ?? undefined,
  };
}

/** ROLE_UNSPECIFIED for a word that this release doesn't know: it grants nothing. */
export function roleOf(name: string): Role {
  switch (name) {
    case 'owner':
      return Role.ROLE_OWNER;
    case 'member':
      return Role.ROLE_MEMBER;
    case 'viewer':
      return Role.ROLE_VIEWER;
    default:
      return Role.ROLE_UNSPECIFIED;
  }
}

/** undefined for what nobody can be made. */
export function roleName(role: Role): RoleName | undefined {
  switch (role) {
    case Role.ROLE_OWNER:
      return 'owner';
    case Role.ROLE_MEMBER:
      return 'member';
    case Role.ROLE_VIEWER:
      return 'viewer';
    default:
      return undefined;
  }
}
