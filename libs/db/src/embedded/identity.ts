// As whom PostgreSQL runs. It refuses geteuid() == 0, so root starts it in a user namespace, where root's own id has another number:
// the files stay root's and every directory that root owns stays reachable. Where user namespaces are not allowed (many containers)
// it gets an unprivileged uid that can reach the binaries and the directory.
//
// initdb also wants the uid to have a name. A container's random uid has none, and is given one in the same way.
import { execFile, spawn } from 'node:child_process';
import { chown, lchown, opendir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedPostgresError } from './error.ts';

export type Identity =
  | { kind: 'self' }
  /** We, under the number and name of somebody else inside. */
  | { kind: 'user-namespace'; insideId: number }
  | { kind: 'dropped'; uid: number; gid: number };

export interface Command {
  command: string;
  args: string[];
  options: { uid?: number; gid?: number };
}

export function commandAs(identity: Identity, program: string, args: string[]): Command {
  switch (identity.kind) {
    case 'self':
      return { command: program, args, options: {} };
    case 'user-namespace': {
      const map = ['--user', `--map-user=${identity.insideId}`, `--map-group=${identity.insideId}`];
      return { command: 'unshare', args: [...map, '--', program, ...args], options: {} };
    }
    case 'dropped':
      return { command: program, args, options: { uid: identity.uid, gid: identity.gid } };
  }
}

/** Decides from who owns what is there already, and tries before it promises. May give `directory` to another uid. */
export async function chooseIdentity(directory: string, dataDirectory: string, postgres: string): Promise<Identity> {
  const uid = process.geteuid?.() ?? -1;
  const data = await stat(dataDirectory).catch(() => undefined);
  return uid === 0 ? asRoot(directory, data, postgres) : asOrdinaryUser(uid, directory, data, postgres);
}

type Owner = { uid: number; gid: number } | undefined;

async function asOrdinaryUser(uid: number, directory: string, data: Owner, postgres: string): Promise<Identity> {
  if (data !== undefined && data.uid !== uid) {
    throw new EmbeddedPostgresError(
      'DIRECTORY_NOT_USABLE',
      `embedded PostgreSQL: ${directory} belongs to uid ${data.uid} and this is uid ${uid}: start it as that user, chown it or choose another directory`,
    );
  }
  if (await hasName(uid)) return { kind: 'self' };
  const namespace = await userNamespace(directory, postgres);
  if (namespace !== undefined) return namespace;
  // Only making the files wants a name.
  if (data !== undefined) return { kind: 'self' };
  throw new EmbeddedPostgresError(
    'USER_NOT_POSSIBLE',
    `embedded PostgreSQL: uid ${uid} has no name in /etc/passwd and user namespaces are not allowed here: add the name, start as another user or set DATABASE_URL`,
  );
}

async function asRoot(directory: string, data: Owner, postgres: string): Promise<Identity> {
  if (data !== undefined && data.uid !== 0) {
    const identity: Identity = { kind: 'dropped', uid: data.uid, gid: data.gid };
    if (await works(identity, directory, postgres)) return identity;
    throw notAsRoot(directory);
  }
  const namespace = await userNamespace(directory, postgres);
  if (namespace !== undefined) return namespace;
  const before = await stat(directory);
  for (const candidate of await unprivileged(directory)) {
    const identity: Identity = { kind: 'dropped', ...candidate };
    await chown(directory, candidate.uid, candidate.gid);
    if (await works(identity, directory, postgres)) {
      await chownTree(directory, candidate.uid, candidate.gid);
      return identity;
    }
  }
  await chown(directory, before.uid, before.gid);
  throw notAsRoot(directory);
}

function notAsRoot(directory: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'USER_NOT_POSSIBLE',
    `embedded PostgreSQL: it does not run as root, user namespaces are not allowed here, and no unprivileged user can reach both ${directory} and the installed packages: start as an ordinary user, move both below a directory that everybody may enter, or set DATABASE_URL`,
  );
}

async function userNamespace(directory: string, postgres: string): Promise<Identity | undefined> {
  if (process.platform !== 'linux') return undefined;
  const [inside] = await namedIds();
  if (inside === undefined) return undefined;
  const identity: Identity = { kind: 'user-namespace', insideId: inside.uid };
  return (await works(identity, directory, postgres)) ? identity : undefined;
}

/** Whoever owns a directory on the way can pass it (a checkout in somebody's home, started with sudo); else those made for little rights. */
async function unprivileged(directory: string): Promise<{ uid: number; gid: number }[]> {
  const found: { uid: number; gid: number }[] = [];
  for (let path = directory; ; path = dirname(path)) {
    const { uid, gid } = await stat(path);
    if (uid !== 0 && !found.some((one) => one.uid === uid) && (await hasName(uid))) found.push({ uid, gid });
    if (path === dirname(path)) break;
  }
  return [...found, ...(await namedIds()).slice(0, 2)];
}

/** Users with a name, first those that exist to own nothing else. */
async function namedIds(): Promise<{ uid: number; gid: number }[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  const users = lines.map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) })).filter((user) => user.uid > 0);
  const rank = (name: string | undefined): number => ['postgres', 'nobody', 'daemon'].indexOf(name ?? '') >>> 0;
  return users.sort((a, b) => rank(a.name) - rank(b.name)).map(({ uid, gid }) => ({ uid, gid }));
}

/** Asked through `id`, which knows directories (LDAP, macOS) too. */
async function hasName(uid: number): Promise<boolean> {
  return promisify(execFile)('id', ['-un', String(uid)]).then(
    () => true,
    async () => (await namedIds()).some((user) => user.uid === uid),
  );
}

/** Tried, not derived: modes, ACLs, mount options and security modules all have a say. */
async function works(identity: Identity, directory: string, postgres: string): Promise<boolean> {
  const script = '"$0" --version >/dev/null && test -w "$1" && test -x "$1"';
  const { command, args, options } = commandAs(identity, '/bin/sh', ['-c', script, postgres, directory]);
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: 'ignore', env: { PATH: process.env.PATH ?? '' }, cwd: '/' });
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
}

async function chownTree(path: string, uid: number, gid: number): Promise<void> {
  await lchown(path, uid, gid);
  for await (const entry of await opendir(path)) {
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) await chownTree(child, uid, gid);
    else await lchown(child, uid, gid);
  }
}
