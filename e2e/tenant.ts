/** A second tenant on a running platform, made by the operator's own command. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inherited, type Platform } from './platform.ts';

const TENANT = fileURLToPath(new URL('../services/standalone/src/tenant.ts', import.meta.url));

/** What the command prints. */
export interface Made {
  key: string;
  tenant_id: string;
  /** Where its owner chooses a password. */
  password_link: string;
}

export async function createTenant(platform: Platform, email: string): Promise<Made> {
  const { stdout } = await promisify(execFile)(process.execPath, [TENANT, '--name', email, '--email', email], {
    env: { ...inherited(), MAILDOOT_HOME: platform.home },
  });
  return JSON.parse(stdout) as Made;
}
