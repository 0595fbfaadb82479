// What the roles of people mean beside the scopes of keys.
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RoleName, ScopeName } from './route.ts';

const scopeOfRole: Record<RoleName, ScopeName> = { owner: 'full', member: 'full', viewer: 'read' };

/** The scope that a person of this role has; undefined for a role that this release doesn't know. */
export function scopeOf(role: RoleName | undefined): ScopeName | undefined {
  return role && scopeOfRole[role];
}

/** The roles that may do what takes one of these scopes. */
export function rolesOf(scopes: readonly ScopeName[]): RoleName[] {
  return (Object.keys(scopeOfRole) as RoleName[]).filter((role) => scopes.includes(scopeOfRole[role]));
}

export function roleName(role: Role): RoleName | undefined {
  return names[role];
}

const names: Partial<Record<number, RoleName>> = {
  [Role.ROLE_OWNER]: 'owner',
  [Role.ROLE_MEMBER]: 'member',
  [Role.ROLE_VIEWER]: 'viewer',
};
