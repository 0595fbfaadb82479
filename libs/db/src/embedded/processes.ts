// Who is alive: the identity of a process (a pid alone may have been given to another one since), and the postgres processes
// that still work on a data directory. Linux tells through /proc, other systems through ps.
import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const linux = process.platform === 'linux';

/** Names this one life of a process: boot and start time; undefined when there is no such process (a zombie counts as none). */
export async function processIdentity(pid: number): Promise<string | undefined> {
  if (linux) {
    try {
      // The command name in field 2 may contain blanks and parentheses: count from its last ')'. State is field 3, start time field 22.
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
      return `${boot}/${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  try {
    const { stdout } = await run('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
    });
    const line = stdout.trim();
    return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined;
  }
}

/** The postmaster's pid as postmaster.pid has it (which may be stale), or undefined. */
export async function recordedPostmaster(dataDirectory: string): Promise<number | undefined> {
  const text = await readFile(`${dataDirectory}/postmaster.pid`, 'utf8').catch(() => '');
  const pid = Number.parseInt(text.split('\n')[0] ?? '', 10);
  return pid > 0 ? pid : undefined;
}

/**
 * Living postgres processes of this data directory (its real path): postmaster and, after the postmaster alone was killed, backends
 * that have not noticed yet. A server changes its working directory into its data directory, so that tells it from any other.
 */
export async function postgresProcessesOf(dataDirectory: string): Promise<number[]> {
  if (!linux) {
    const pid = await recordedPostmaster(dataDirectory);
    if (pid === undefined) return [];
    const { stdout } = await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
    return stdout.includes('postgres') && stdout.includes(dataDirectory) ? [pid] : [];
  }
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if ((await readlink(`/proc/${pid}/cwd`)) !== dataDirectory) continue;
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      if (!stat.includes('(postgres)')) continue;
      if (!/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) found.push(pid);
    } catch {
      // gone meanwhile, or another user's
    }
  }
  return found;
}
