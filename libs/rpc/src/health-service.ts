/**
 * grpc.health.v1.Health, which Kubernetes probes ask. Two messages of one field each, so written by hand; it asks for no token and
 * no deadline, because a probe has neither. https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';

export const ServingStatus = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

interface HealthCheckRequest {
  service: string;
}
interface HealthCheckResponse {
  status: ServingStatus;
}

const request = {
  requestSerialize: (value: HealthCheckRequest): Buffer =>
    Buffer.from(value.service === '' ? [] : new BinaryWriter().uint32(10).string(value.service).finish()),
  requestDeserialize: (bytes: Buffer): HealthCheckRequest => {
    const reader = new BinaryReader(bytes);
    let service = '';
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 10) service = reader.string();
      else reader.skip(tag & 7);
    }
    return { service };
  },
};
const response = {
  responseSerialize: (value: HealthCheckResponse): Buffer => Buffer.from(new BinaryWriter().uint32(8).int32(value.status).finish()),
  responseDeserialize: (bytes: Buffer): HealthCheckResponse => {
    const reader = new BinaryReader(bytes);
    let value: ServingStatus = ServingStatus.UNKNOWN;
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 8) value = reader.int32() as ServingStatus;
      else reader.skip(tag & 7);
    }
    return { status: value };
  },
};

export const healthDefinition = {
  check: { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, ...request, ...response },
  watch: { path: '/grpc.health.v1.Health/Watch', requestStream: false, responseStream: true, ...request, ...response },
} as const satisfies ServiceDefinition;

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/** The status of one server: of the whole (`''`) and of each service by name, all alike. */
export class HealthService {
  readonly #services: ReadonlySet<string>;
  readonly #watchers = new Set<Watcher>();
  #serving: boolean;

  constructor(services: Iterable<string>, serving: boolean) {
    this.#services = new Set(['', ...services]);
    this.#serving = serving;
  }

  get implementation(): {
    check: handleUnaryCall<HealthCheckRequest, HealthCheckResponse>;
    watch: handleServerStreamingCall<HealthCheckRequest, HealthCheckResponse>;
  } {
    return {
      check: (call, callback) => {
        const found = this.#status(call.request.service);
        if (found === ServingStatus.SERVICE_UNKNOWN) callback({ code: status.NOT_FOUND, details: 'unknown service' });
        else callback(null, { status: found });
      },
      watch: (call) => {
        this.#watchers.add(call);
        call.on('cancelled', () => this.#watchers.delete(call));
        call.write({ status: this.#status(call.request.service) });
      },
    };
  }

  set serving(serving: boolean) {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const watcher of this.#watchers) watcher.write({ status: this.#status(watcher.request.service) });
  }

  /** Ends the watches; they would hold a draining server open. */
  close(): void {
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  #status(service: string): ServingStatus {
    if (!this.#services.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}
