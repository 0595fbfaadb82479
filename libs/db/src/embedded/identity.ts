// As whom PostgreSQL runs. It refuses geteuid() == 0, so root starts it in a user namespace, where root's own id has another number:
// the files stay root's and every directory that root owns stays reachable. Where user namespaces are not allowed (many containers)
// it gets an unprivileged uid that can reach the binaries and the directory.
import { spawn } from 'node:child_process';
import { chown, lchown, opendir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EmbeddedPostgresError } from './error.ts';

export type Identity =
  | { kind: 'self' }
  /** Root outside, an ordinary user inside. */
  | { kind: 'user-namespace' }
  | { kind: 'dropped'; uid: number; gid: number };

export interface Command {
  command: string;
  args: string[];
  options: { uid?: number; gid?: number };
}

/** Distroless images call it `nonroot`; taken when no directory on the way suggests a better one. */
const UNPRIVILEGED_ID = 65532;

export function commandAs(identity: Identity, program: string, args: string[]): Command {
  switch (identity.kind) {
    case 'self':
      return { command: program, args, options: {} };
    case 'user-namespace':
      return { command: 'unshare', args: ['--user', '--map-user=1000', '--map-group=1000', '--', program, ...args], options: {} };
    case 'dropped':
      return { command: program, args, options: { uid: identity.uid, gid: identity.gid } };
  }
}

/** Decides from who owns what is there already, and tries before it promises. May give `directory` to another uid. */
export async function chooseIdentity(directory: string, dataDirectory: string, postgres: string): Promise<Identity> {
  const uid = process.geteuid?.() ?? -1;
  const data = await stat(dataDirectory).catch(() => undefined);
  if (uid !== 0) {
    if (data !== undefined && data.uid !== uid) {
      throw new EmbeddedPostgresError(
        'DIRECTORY_NOT_USABLE',
        `embedded PostgreSQL: ${dataDirectory} belongs to uid ${data.uid} and this is uid ${uid}: start it as that user, chown it or choose another directory`,
      );
    }
    return { kind: 'self' };
  }
  if (data !== undefined && data.uid !== 0) {
    const identity: Identity = { kind: 'dropped', uid: data.uid, gid: data.gid };
    if (await works(identity, directory, postgres)) return identity;
    throw notPossible(directory);
  }
  const namespace: Identity = { kind: 'user-namespace' };
  if (await works(namespace, directory, postgres)) return namespace;
  const before = await stat(directory);
  for (const candidate of await candidates(directory)) {
    const identity: Identity = { kind: 'dropped', ...candidate };
    await chown(directory, candidate.uid, candidate.gid);
    if (await works(identity, directory, postgres)) {
      await chownTree(directory, candidate.uid, candidate.gid);
      return identity;
    }
  }
  await chown(directory, before.uid, before.gid);
  throw notPossible(directory);
}

function notPossible(directory: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'ROOT_NOT_POSSIBLE',
    `embedded PostgreSQL: it does not run as root, user namespaces are not allowed here, and no unprivileged user can reach both ${directory} and the installed packages: start as an ordinary user, move both below a directory that everybody may enter, or set DATABASE_URL`,
  );
}

/** Whoever owns a directory on the way can pass it: their id first (a checkout in somebody's home, started with sudo). */
async function candidates(directory: string): Promise<{ uid: number; gid: number }[]> {
  const found: { uid: number; gid: number }[] = [];
  for (let path = directory; ; path = dirname(path)) {
    const { uid, gid } = await stat(path);
    if (uid !== 0 && !found.some((one) => one.uid === uid)) found.push({ uid, gid });
    if (path === dirname(path)) break;
  }
  return [...found, { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID }];
}

/** Tried, not derived: modes, ACLs, mount options and security modules all have a say. */
async function works(identity: Identity, directory: string, postgres: string): Promise<boolean> {
  const { command, args, options } = commandAs(identity, '/bin/sh', [
    '-c',
    '"$0" --version >/dev/null && test -w "$1" && test -x "$1"',
    postgres,
    directory,
  ]);
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: 'ignore', env: { PATH: process.env['PATH'] ?? '' }, cwd: '/' });
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });
}

async function chownTree(path: string, uid: number, gid: number): Promise<void> {
  await lchown(path, uid, gid);
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory()) return;
  for await (const entry of await opendir(path)) {
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) await chownTree(child, uid, gid);
    else await lchown(child, uid, gid);
  }
}
