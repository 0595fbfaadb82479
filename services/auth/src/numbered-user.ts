// Whom a request about "me" means: the user who asks, or, where a key does, the tenant's first owner, for whom its keys stand.
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';
import type { NumberedUser, People } from './store/people.ts';

/** @throws RpcError NOT_FOUND */
export async function numberedUser(people: People, tenantId: string, userId: string): Promise<NumberedUser> {
  const id = userId === '' ? undefined : idToUuid('usr', userId);
  const user = userId !== '' && id === undefined ? undefined : await people.numberedUser(tenantId, id);
  if (user === undefined) throw noSuchUser();
  return user;
}

export function noSuchUser() {
  return errors.NOT_FOUND({ message: 'There is no such user.' });
}
