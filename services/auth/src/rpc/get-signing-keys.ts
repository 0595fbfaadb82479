// GetSigningKeys: the public halves of what tokens are signed with.
import type { GetSigningKeysRequest, GetSigningKeysResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { TokenKeys } from '../token-keys.ts';

export function getSigningKeys({ tokenKeys }: { tokenKeys: TokenKeys }) {
  return async (_request: GetSigningKeysRequest): Promise<GetSigningKeysResponse> => ({ keys: await tokenKeys.published() });
}
