// What every door of this service does alike: the tenant's id in the database's form, and trouble with the database as UNAVAILABLE.
import type { RpcImplementation } from '@maildoot/rpc/server';
import type { RequestOf, ResponseOf, RpcCall, RpcMethod } from '@maildoot/rpc/service';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors, noSuchMessage, unavailableIfTransient } from '../errors.ts';

type Unary = RpcMethod & { responseStream: false };
type ServerStream = RpcMethod & { responseStream: true };

/** An RPC with one answer. */
export function unary<M extends Unary>(
  allow: readonly string[],
  handle: (request: RequestOf<M>, call: RpcCall) => Promise<ResponseOf<M>>,
): RpcImplementation<M> {
  const implementation: RpcImplementation<Unary> = {
    allow,
    async handle(request, call) {
      try {
        return await handle(request as RequestOf<M>, call);
      } catch (error) {
        throw unavailableIfTransient(error);
      }
    },
  };
  return implementation as RpcImplementation<M>;
}

/** An RPC that answers in frames. */
export function serverStream<M extends ServerStream>(
  allow: readonly string[],
  handle: (request: RequestOf<M>, call: RpcCall) => AsyncGenerator<ResponseOf<M>>,
): RpcImplementation<M> {
  const implementation: RpcImplementation<ServerStream> = {
    allow,
    async *handle(request, call) {
      try {
        yield* handle(request as RequestOf<M>, call);
      } catch (error) {
        throw unavailableIfTransient(error);
      }
    },
  };
  return implementation as RpcImplementation<M>;
}

/** The tenant that a call is about. */
export function tenantOf(call: RpcCall): string {
  const uuid = idToUuid('ten', call.tenantId);
  if (uuid === undefined) throw errors.VALIDATION_ERROR({ message: 'The call names no tenant.' });
  return uuid;
}

/** A message id as it stands in the database. What is no id is not found, as an id that nobody has. */
export function messageUuid(id: string): string {
  const uuid = idToUuid('msg', id);
  if (uuid === undefined) throw noSuchMessage();
  return uuid;
}
