/** The one call of the bare chain, as plain grpc-js knows it: JSON bytes there, JSON bytes back. */
import type { ServiceDefinition, UntypedHandleCall } from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;

export const storeService = {
  accept: {
    path: '/bare.Store/Accept',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
} satisfies ServiceDefinition<{ accept: UntypedHandleCall }>;
