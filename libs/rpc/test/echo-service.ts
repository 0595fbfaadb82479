/** A small service of the tests' own, in JSON, so that each test can say exactly what a handler does. */
import { createRpcClient, type RpcClient, type RpcClientOptions } from '@maildoot/rpc/client';
import { implement, type RpcImplementation, type RpcServer, type RpcServerOptions, startRpcServer } from '@maildoot/rpc/server';
import { createLogger } from '@maildoot/runtime/logger';

export interface Ask {
  text: string;
  count?: number;
}
export interface Answer {
  text: string;
}

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const decode = <T>(bytes: Buffer): T => JSON.parse(bytes.toString()) as T;
const codec = {
  requestSerialize: (value: Ask): Buffer => encode(value),
  requestDeserialize: (bytes: Buffer): Ask => decode(bytes),
  responseSerialize: (value: Answer): Buffer => {
    if (value.text === 'cannot be serialized') throw new TypeError('MARKER: no text');
    return encode(value);
  },
  responseDeserialize: (bytes: Buffer): Answer => decode(bytes),
};

export const EchoService = {
  say: { path: '/maildoot.test.v1.EchoService/Say' as const, requestStream: false as const, responseStream: false as const, ...codec },
  count: { path: '/maildoot.test.v1.EchoService/Count' as const, requestStream: false as const, responseStream: true as const, ...codec },
};
/** What an older server doesn't know yet. */
export const NewerEchoService = {
  ...EchoService,
  shout: { path: '/maildoot.test.v1.EchoService/Shout' as const, requestStream: false as const, responseStream: false as const, ...codec },
};

export const SECRET = 'a secret of the tests, long enough';

export interface Capture {
  readonly lines: string[];
  readonly text: () => string;
}

export interface Echo extends AsyncDisposable {
  readonly server: RpcServer;
  readonly client: RpcClient<typeof EchoService>;
  readonly log: Capture;
}

export interface EchoOptions {
  readonly say?: RpcImplementation<typeof EchoService.say>['handle'];
  readonly count?: RpcImplementation<typeof EchoService.count>['handle'];
  readonly server?: Partial<RpcServerOptions>;
  readonly client?: Partial<RpcClientOptions>;
}

export async function startEchoServer(options: EchoOptions = {}): Promise<{ server: RpcServer; log: Capture }> {
  const lines: string[] = [];
  const logger = createLogger({ service: 'echo', level: 'debug', destination: { write: (line) => void lines.push(line) } });
  const server = await startRpcServer({
    listen: '127.0.0.1:0',
    secret: SECRET,
    service: 'echo',
    logger,
    implementations: [
      implement(EchoService, {
        say: { allow: ['gateway', 'delivery'], handle: options.say ?? (async (request) => ({ text: request.text })) },
        count: {
          allow: ['gateway'],
          handle:
            options.count ??
            async function* (request) {
              for (let index = 0; index < (request.count ?? 0); index++) yield { text: `${request.text}${index}` };
            },
        },
      }),
    ],
    ...options.server,
  });
  return { server, log: { lines, text: () => lines.join('') } };
}

export function echoClient(address: string, options: Partial<RpcClientOptions> = {}): RpcClient<typeof EchoService> {
  return createRpcClient(EchoService, { address, self: 'gateway', secret: SECRET, defaultDeadlineMs: 60_000, ...options });
}

/** A server and a client of it. */
export async function startEcho(options: EchoOptions = {}): Promise<Echo> {
  const { server, log } = await startEchoServer(options);
  const client = echoClient(server.address, options.client);
  return {
    server,
    client,
    log,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
