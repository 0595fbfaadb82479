/** What the operator does on a running platform, by the operator's own command. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inherited, type Platform } from './platform.ts';

const OPERATOR = fileURLToPath(new URL('../services/standalone/src/operator.ts', import.meta.url));

export async function operator<T = Record<string, unknown>>(platform: Platform, ...args: string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [OPERATOR, ...args], {
    env: { ...inherited(), MAILDOOT_HOME: platform.home },
  });
  return JSON.parse(stdout) as T;
}
