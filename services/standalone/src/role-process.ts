/** A role in a process of its own: its service's `main.ts` with the environment that a Deployment would give it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { environmentOf, ownSettings, type Role, type Surroundings, serviceOf } from './roles.ts';

/** Its output goes where ours goes, or to an open file. It stops when we are gone, however we ended. */
export function spawnRole(role: Role, surroundings: Surroundings, output: number | 'inherit' = 'inherit'): ChildProcess {
  const main = fileURLToPath(import.meta.resolve(`@maildoot/${serviceOf(role)}/main`));
  // The channel carries nothing; a role whose parent is gone sees it close, and stops.
  return spawn(process.execPath, [main], {
    env: { ...inherited(), ...environmentOf(role, surroundings) },
    stdio: ['ignore', output, output, 'ipc'],
  });
}

/** Our environment without the settings that are ours: each process gets its own. */
export function inherited(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of ownSettings()) delete env[name];
  return env;
}
