/** Auth and delivery as the operator's commands see them: on the running platform, through their own doors. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { OperatorServiceService } from '@maildoot/proto/maildoot/auth/v1/operator';
import { DestinationServiceService } from '@maildoot/proto/maildoot/delivery/v1/destination';
import { createRpcClient, type RpcClient } from '@maildoot/rpc/client';
import { healthDefinition } from '@maildoot/rpc/health-service';
import { type Home, HomeError, type Run, type Up } from './home.ts';

const definition = { ...AuthServiceService, ...OperatorServiceService, check: healthDefinition.check } as const;

export type OperatorClient = RpcClient<typeof definition>;

export function connectAuth(home: Home, authAddress: string): OperatorClient {
  return createRpcClient(definition, {
    address: authAddress,
    self: 'standalone',
    secret: home.secrets.rpcSecret,
    defaultDeadlineMs: 10_000,
  });
}

/** The queue counts its rows for an answer. */
const countingMs = 30_000;

export function connectDelivery(home: Home, address: string): RpcClient<typeof DestinationServiceService> {
  const options = { address, self: 'standalone', secret: home.secrets.rpcSecret, defaultDeadlineMs: countingMs };
  return createRpcClient(DestinationServiceService, options);
}

/** Where the platform on this data directory is. @throws HomeError when nothing runs there */
export async function running(home: Home): Promise<Run & Pick<Up, 'api'>> {
  const read = async (file: string): Promise<string> =>
    readFile(join(home.directory, file), 'utf8').catch(() => {
      throw new HomeError(`nothing runs on ${home.directory}: start it with make up`);
    });
  const [run, up] = [JSON.parse(await read('run.json')) as Run, JSON.parse(await read('up.json')) as Up];
  return { ...run, api: up.api };
}

/** The page on which this token sets a password. Behind the #, so that no server is told it before the page is. */
export function passwordPage(api: string, token: string): string {
  return `${api}/password#token=${token}`;
}
