// RotateSigningKey: a new key signs from now on.
import type { RotateSigningKeyRequest, RotateSigningKeyResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import type { RpcCall } from '@maildoot/rpc/server';
import { telemetry } from '../telemetry.ts';
import type { TokenKeys } from '../token-keys.ts';

export function rotateSigningKey({ tokenKeys }: { tokenKeys: TokenKeys }) {
  return async ({ compromised }: RotateSigningKeyRequest, call: RpcCall): Promise<RotateSigningKeyResponse> => {
    const kid = await tokenKeys.rotate(compromised);
    telemetry.signingKeyRotated(call.logger, kid, compromised);
    return { kid };
  };
}
