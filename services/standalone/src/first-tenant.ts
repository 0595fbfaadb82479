/** The first tenant and its key, made once by the first start through auth's own door and kept in the data directory. */
import { setTimeout as delay } from 'node:timers/promises';
import { ServingStatus } from '@maildoot/rpc/health-service';
import { type Home, HomeError } from './home.ts';
import { connectAuth, passwordPage } from './operator-client.ts';

const ANSWERS_WITHIN_MS = 30_000;
export const FIRST_OWNER = 'owner@localhost.localdomain';

export async function firstTenant(home: Home, authAddress: string): Promise<string> {
  if (home.secrets.apiKey !== undefined) return home.secrets.apiKey;
  const { key, tenantId } = await createTenant(home, authAddress, 'default', FIRST_OWNER).catch((cause: unknown) => {
    if ((cause as { code?: string }).code !== 'CONFLICT') throw cause;
    throw new HomeError(
      `data directory ${home.directory}: the database already has a first tenant, but secrets.json does not know its key. Restore secrets.json, or use another MAILDOOT_HOME.`,
    );
  });
  await home.keepSecrets({ apiKey: key, tenantId });
  return key;
}

/** Where the first user chooses a password; undefined once they have. */
export async function firstPasswordLink(home: Home, authAddress: string, api: string): Promise<string | undefined> {
  await using auth = connectAuth(home, authAddress);
  const { token } = await auth.createPasswordLink({ email: FIRST_OWNER, onlyIfNone: true });
  return token === '' ? undefined : passwordPage(api, token);
}

/** A tenant with its owner and a full key. @throws RpcError CONFLICT when the owner's address is taken */
export async function createTenant(
  home: Home,
  authAddress: string,
  name: string,
  email: string,
): Promise<{ key: string; tenantId: string }> {
  await using auth = connectAuth(home, authAddress);
  // Asked first what may be asked twice: on a busy machine the connection to a process that is hardly up may break, and nobody could tell
  // whether a tenant was made meanwhile.
  const deadline = performance.now() + ANSWERS_WITHIN_MS;
  while (!(await auth.check({ service: '' }).then(({ status }) => status === ServingStatus.SERVING, neverAgain(deadline)))) {
    await delay(100);
  }
  const { key, tenantId } = await auth.createTenant({ name, email });
  return { key, tenantId };
}

/** For a call that may fail until the time is over. */
function neverAgain(deadline: number): (error: unknown) => false {
  return (error) => {
    if (performance.now() > deadline) throw error;
    return false;
  };
}
