// WatchRevocations: a stream of the keys that are revoked while it lasts, of all tenants.

import type { WatchRevocationsRequest, WatchRevocationsResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Revocations } from '../revocations.ts';

export function watchRevocations({ revocations }: { revocations: Revocations }) {
  return async function* (_request: WatchRevocationsRequest, call: RpcCall): AsyncGenerator<WatchRevocationsResponse> {
    for await (const { keys, missed } of revocations.watch(call.signal)) yield { keySha256: keys, missed };
  };
}
