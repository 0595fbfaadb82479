/**
 * A door in front of several gateways, for HTTP or SMTP: a TCP balancer that asks each of them, as a load balancer of a cloud or a Service of Kubernetes
 * would, whether it is ready, and gives connections round robin to those that are. It looks at no byte that passes.
 *
 * Gateways see who calls: towards them a connection comes from the caller's own address, which works for loopback addresses and for no
 * others. So it listens on loopback only.
 */
import { once } from 'node:events';
import { get } from 'node:http';
import { type AddressInfo, connect, createServer, isIPv4, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Backend {
  name: string;
  host: string;
  port: number;
  /** Where it says over HTTP whether it is ready; where connections go otherwise. */
  health?: { host: string; port: number };
}

export interface BalancerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  backends: readonly Backend[];
  /** One line when a gateway is left or used again. */
  say(text: string): void;
  probeEveryMs?: number;
  probeTimeoutMs?: number;
}

export interface Balancer extends AsyncDisposable {
  readonly port: number;
  /** Takes no new connections; those that are open go on. */
  close(): void;
}

/** One slow answer is a busy moment; after so many without any, the connections are given up. */
const SILENT_PROBES = 2;

type Readiness = 'ready' | 'not ready' | 'silent';

interface Target extends Backend {
  readiness: Readiness;
  silent: number;
  /** It was ready once. */
  seen: boolean;
  connections: Set<Socket>;
  /** What connections that are closed have brought. */
  bytesOfClosed: number;
}

/** Resolves when it listens; the gateways need not be there yet. */
export async function startBalancer(options: BalancerOptions): Promise<Balancer> {
  const { probeEveryMs = 500, probeTimeoutMs = 1_000, say } = options;
  const targets: Target[] = options.backends.map((backend) => ({
    ...backend,
    readiness: 'not ready',
    silent: 0,
    seen: false,
    connections: new Set(),
    bytesOfClosed: 0,
  }));
  const clients = new Set<Socket>();
  const stopping = new AbortController();
  let next = 0;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    clients.add(client);
    client.on('error', ignore).on('close', () => clients.delete(client));
    // When nobody is ready, whoever takes the connection answers better than nobody.
    const order = targets.map((_, index) => targets[(next + index) % targets.length] as Target);
    next = (next + 1) % targets.length;
    const ready = order.filter(({ readiness }) => readiness === 'ready');
    join(client, ready.length > 0 ? ready : order);
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');

  const probing = targets.map(async (target) => {
    while (!stopping.signal.aborted) {
      const heardBefore = bytesOf(target);
      let readiness = await probe(target, probeTimeoutMs);
      // Busy, not stopped: it has no time for the probe, and answers others.
      if (readiness === 'silent' && target.readiness === 'ready' && bytesOf(target) !== heardBefore) readiness = 'ready';
      if (stopping.signal.aborted) return;
      target.silent = readiness === 'silent' ? target.silent + 1 : 0;
      if (readiness !== target.readiness) {
        if (target.readiness === 'ready') say(`balancer: ${target.name} is ${readiness}, left out`);
        else if (readiness === 'ready' && target.seen) say(`balancer: ${target.name} is ready again`);
        target.readiness = readiness;
        target.seen ||= readiness === 'ready';
      }
      // Whoever waits on one of these would wait for as long as the process is stopped.
      if (target.silent >= SILENT_PROBES) for (const connection of target.connections) connection.destroy();
      await delay(probeEveryMs, undefined, { signal: stopping.signal }).catch(ignore);
    }
  });

  const close = () => {
    stopping.abort();
    if (server.listening) server.close();
  };
  return {
    port: (server.address() as AddressInfo).port,
    close,
    async [Symbol.asyncDispose]() {
      close();
      for (const client of clients) client.destroy();
      await Promise.all(probing);
    },
  };
}

/** Connects the client to the first target that takes it. What dies on one side ends on the other. */
function join(client: Socket, candidates: Target[]): void {
  const [target, ...others] = candidates;
  if (!target || client.destroyed) return void client.destroy();
  const { host, port } = target;
  const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true, ...asTheCaller(client) });
  let connected = false;
  const abandoned = () => upstream.destroy();
  client.once('close', abandoned);
  upstream.on('connect', () => {
    connected = true;
    target.connections.add(upstream);
    client.pipe(upstream).pipe(client);
  });
  upstream.on('error', ignore).on('close', () => {
    if (target.connections.delete(upstream)) target.bytesOfClosed += upstream.bytesRead;
    client.off('close', abandoned);
    // Not a byte has gone there: another one may have it.
    if (connected) client.destroy();
    else join(client, others);
  });
}

/** Changes when any of its connections has brought something. */
function bytesOf({ bytesOfClosed, connections }: Target): number {
  let bytes = bytesOfClosed;
  for (const { bytesRead } of connections) bytes += bytesRead;
  return bytes;
}

function asTheCaller({ remoteAddress = '' }: Socket): { localAddress?: string } {
  return isIPv4(remoteAddress) && remoteAddress.startsWith('127.') ? { localAddress: remoteAddress } : {};
}

function probe({ host, port, health = { host, port } }: Backend, timeoutMs: number): Promise<Readiness> {
  return new Promise((resolve) => {
    const request = get({ ...health, path: '/readyz', agent: false, timeout: timeoutMs }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'ready' : 'not ready');
    });
    request.on('timeout', () => {
      resolve('silent');
      request.destroy();
    });
    request.on('error', () => resolve('not ready'));
  });
}

function ignore(): void {}
