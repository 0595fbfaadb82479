// Who may do what, as the operations declare it, and as it stands in scopes.txt to be read and reviewed at one glance.
// After a change that is meant: node services/gateway/test/scopes-table.ts --write
import { readFileSync, writeFileSync } from 'node:fs';
import { rolesOf } from '../src/roles.ts';
import { mayWhileSuspended, type Operation, type Route } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { nameOf } from './operations.ts';

/** Every kind of credential: its column, and what it is. */
export const credentials = {
  none: 'no credential',
  full: 'a key of scope full',
  send: 'a key of scope send',
  read: 'a key of scope read',
  test: 'a test key of scope full',
  brief: 'a key of scope full that lasts until tomorrow',
  owner: 'the session of an owner',
  member: 'the session of a member',
  viewer: 'the session of a viewer',
  suspkey: 'a key of scope full of a suspended account',
  suspown: 'the session of an owner of a suspended account',
  newer: 'a key of a scope that only a later release knows',
  newrole: 'the session of a role that only a later release knows',
  revoked: 'a key of scope full, revoked',
  expired: 'a key of scope full, expired',
  address: 'a key of scope full, from an address that it does not allow',
  ended: 'the session of an owner, ended',
  stale: 'the session of an owner, its token expired',
  pat: 'the personal access token of an owner',
  patmem: 'the personal access token of a member',
  patview: 'the personal access token of a viewer',
  patsusp: 'the personal access token of an owner of a suspended account',
  patover: 'the personal access token of an owner, replaced by another',
} as const;
export type Credential = keyof typeof credentials;
export const columns = Object.keys(credentials) as Credential[];

/** 403 is INSUFFICIENT_SCOPE; 403s is ACCOUNT_SUSPENDED. */
export type Cell = string;

const file = new URL('scopes.txt', import.meta.url);

/** What the declaration of a route says about one credential. */
export function declared(route: Route, credential: Credential): Cell {
  // The 200 of what sends is the answer to a trial.
  const done = String(route.kind === 'operation' && route.sends ? 202 : route.responses[0].status);
  if (route.kind !== 'operation') return done;
  const of = (suspended: boolean, admitted: boolean): Cell => {
    if (!admitted) return '403';
    return suspended && !mayWhileSuspended(route) ? '403s' : done;
  };
  switch (credential) {
    case 'none':
    case 'revoked':
    case 'expired':
    case 'address':
    case 'ended':
    case 'stale':
    case 'patover':
      return '401';
    case 'newer':
    case 'newrole':
      return '403';
    case 'full':
      return of(false, keyMay(route, 'full'));
    case 'send':
    case 'read':
      return of(false, keyMay(route, credential) && route.ownersOnly !== true && route.unlimitedKeysOnly !== true);
    case 'test':
    case 'brief':
      return of(false, keyMay(route, 'full') && route.ownersOnly !== true && route.unlimitedKeysOnly !== true);
    case 'suspkey':
      return of(true, keyMay(route, 'full'));
    case 'owner':
    case 'suspown':
      return of(credential === 'suspown', personMay(route, 'session', 'owner'));
    case 'member':
    case 'viewer':
      return of(false, personMay(route, 'session', credential) && route.ownersOnly !== true);
    case 'pat':
    case 'patsusp':
      return of(credential === 'patsusp', personMay(route, 'pat', 'owner'));
    case 'patmem':
    case 'patview':
      return of(false, personMay(route, 'pat', credential === 'patmem' ? 'member' : 'viewer') && route.ownersOnly !== true);
  }
}

function keyMay({ credentials: kinds, scopes }: Operation, scope: 'full' | 'send' | 'read'): boolean {
  return (kinds?.includes('key') ?? true) && scopes.includes(scope);
}

function personMay({ credentials: kinds, scopes }: Operation, by: 'session' | 'pat', role: 'owner' | 'member' | 'viewer'): boolean {
  return (kinds?.includes(by) ?? true) && rolesOf(scopes).includes(role);
}

/** The reviewed table: `GET /v1/messages` → credential → cell. */
export function reviewed(): Map<string, Record<Credential, Cell>> {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const [head = '', ...rest] = lines.map((line) => line.trim().replace(/ +/g, ' '));
  const names = head.split(' ').slice(2);
  return new Map(
    rest.map((line) => {
      const [method, path, ...cells] = line.split(' ');
      return [`${method} ${path}`, Object.fromEntries(names.map((name, at) => [name, cells[at] ?? ''])) as Record<Credential, Cell>];
    }),
  );
}

/** The table as the declarations have it. */
export function declaredText(): string {
  const first = Math.max(...routes.map((route) => nameOf(route).length)) + 2;
  const line = (name: string, cells: readonly string[]): string =>
    `${name.padEnd(first)}${cells.map((cell, at) => cell.padEnd((columns[at]?.length ?? 0) + 1)).join(' ')}`.trimEnd();
  return [
    '# Every operation with every credential: the status. 403 is INSUFFICIENT_SCOPE, 403s ACCOUNT_SUSPENDED, 401 INVALID_TOKEN or, with none,',
    '# MISSING_TOKEN. What needs no credential answers the same whatever it is given. scopes.test.ts holds the declarations and the answers of',
    '# the real gateway against this. After a change that is meant: node services/gateway/test/scopes-table.ts --write',
    '#',
    ...columns.map((name) => `# ${name.padEnd(8)} ${credentials[name]}`),
    '',
    line('METHOD PATH', columns),
    ...routes.map((route) =>
      line(
        nameOf(route),
        columns.map((column) => declared(route, column)),
      ),
    ),
    '',
  ].join('\n');
}

export function reviewedText(): string {
  return readFileSync(file, 'utf8');
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) writeFileSync(file, declaredText());
