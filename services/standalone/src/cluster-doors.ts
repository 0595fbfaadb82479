/** The public doors of the cluster, each a balancer: HTTP in front of the gateways, SMTP twice in front of the processes that take messages by it. */
import { splitHostPort } from '@maildoot/runtime/config';
import { type Backend, startBalancer } from './balancer.ts';
import type { Edge } from './cluster.ts';
import type { Config } from './config.ts';
import type { SmtpDoors } from './one-process.ts';

export interface DoorProcess {
  name: string;
  /** Where it says over HTTP how it is; a gateway has its door there. */
  address: string;
}

export interface SmtpProcess extends DoorProcess {
  smtp: SmtpDoors;
}

export interface DoorsOptions {
  config: Pick<Config, 'httpHost' | 'httpPort' | 'smtpListen' | 'smtpsListen'>;
  gateways: readonly DoorProcess[];
  smtp: readonly SmtpProcess[];
  wire(edge: Edge): Promise<string> | string;
  say(text: string): void;
}

export interface Doors extends AsyncDisposable {
  /** The port of the API. */
  readonly httpPort: number;
  readonly smtp: SmtpDoors;
  /** They take no new connections; those that are open go on. */
  close(): void;
}

/** Resolves when they listen; the processes behind them need not be there yet. */
export async function startDoors({ config, gateways, smtp, wire, say }: DoorsOptions): Promise<Doors> {
  await using stack = new AsyncDisposableStack();
  const wired = async (to: string, address: string) => splitHostPort(await wire({ from: 'balancer', to, address }));
  const http = await Promise.all(gateways.map(async ({ name, address }): Promise<Backend> => ({ name, ...(await wired(name, address)) })));
  const mail = (which: keyof SmtpDoors) =>
    Promise.all(
      smtp.map(async ({ name, address, smtp: doors }): Promise<Backend> => {
        const [door, health] = await Promise.all([wired(name, doors[which]), wired(name, address)]);
        return { name, ...door, health };
      }),
    );
  const open = async (listen: { host: string; port: number }, backends: readonly Backend[], tell: typeof say) => {
    const balancer = stack.use(await startBalancer({ ...listen, backends, say: tell }));
    return { ...balancer, at: `${listen.host}:${balancer.port}` };
  };
  const api = await open({ host: config.httpHost, port: config.httpPort }, http, say);
  const starttls = await open(splitHostPort(config.smtpListen), await mail('starttls'), say);
  // Of the same processes: said once.
  const tls = await open(splitHostPort(config.smtpsListen), await mail('tls'), () => {});
  const owned = stack.move();
  return {
    httpPort: api.port,
    smtp: { starttls: starttls.at, tls: tls.at },
    close: () => {
      for (const door of [api, starttls, tls]) door.close();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
