/** The first tenant and its key, made once by the first start through auth's own door and kept in the data directory. */
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { createRpcClient } from '@maildoot/rpc/client';
import { type Home, HomeError } from './home.ts';

export async function firstTenant(home: Home, authAddress: string): Promise<string> {
  if (home.secrets.apiKey !== undefined) return home.secrets.apiKey;
  const { key, tenantId } = await createTenant(home, authAddress, 'default', 'owner@localhost.localdomain').catch((cause: unknown) => {
    if ((cause as { code?: string }).code !== 'CONFLICT') throw cause;
    throw new HomeError(
      `data directory ${home.directory}: the database already has a first tenant, but secrets.json does not know its key. Restore secrets.json, or use another MAILDOOT_HOME.`,
    );
  });
  await home.keepSecrets({ apiKey: key, tenantId });
  return key;
}

/** A tenant with its owner and a full key. @throws RpcError CONFLICT when the owner's address is taken */
export async function createTenant(
  home: Home,
  authAddress: string,
  name: string,
  email: string,
): Promise<{ key: string; tenantId: string }> {
  await using auth = createRpcClient(AuthServiceService, {
    address: authAddress,
    self: 'standalone',
    secret: home.secrets.rpcSecret,
    defaultDeadlineMs: 10_000,
  });
  const { key, tenantId } = await auth.createTenant({ name, email });
  return { key, tenantId };
}
