/**
 * A TCP proxy on every edge of the cluster, one per pair of process and server, so that the connections of one process can be cut and
 * those of the others live on. A cut destroys the sockets (RST) and closes the listening socket: whoever tries is refused.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { KafkaAddressRewriter } from './kafka-address.ts';

export interface Edge {
  /** The process that connects: `messaging-2`; or a role, when all its processes are given the same address. */
  from: string;
  /** Whom it connects to: `delivery-1`, `postgres`, `kafka`. */
  to: string;
  /** `host:port` of the server. */
  address: string;
}

/**
 * An address of the loopback that nobody else uses: the port of a refused edge stays free until it listens again, because no
 * outgoing connection takes its source port there.
 */
const PROXY_HOST = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1';

export class Edges implements AsyncDisposable {
  readonly #proxies: EdgeProxy[] = [];

  /** The address to use in place of the edge's own. */
  async wire(edge: Edge): Promise<string> {
    const proxy = await EdgeProxy.start(edge);
    this.#proxies.push(proxy);
    return proxy.address;
  }

  /** How many there are, for the head of the report. */
  get size(): number {
    return this.#proxies.length;
  }

  /**
   * Destroys every connection to and from the process, and refuses new ones until disposed of. Cuts may overlap: an edge listens again
   * when the last of them is over.
   */
  async cut(name: string): Promise<AsyncDisposable> {
    const concerned = this.#proxies.filter(({ edge }) => edge.from === name || name.startsWith(`${edge.from}-`) || edge.to === name);
    await Promise.all(concerned.map((proxy) => proxy.refuse()));
    return { [Symbol.asyncDispose]: async () => void (await Promise.all(concerned.map((proxy) => proxy.allow()))) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.refuse()));
  }
}

class EdgeProxy {
  readonly edge: Edge;
  readonly #target: { host: string; port: number };
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #refusals = 0;

  private constructor(edge: Edge) {
    this.edge = edge;
    const { hostname, port } = new URL(`tcp://${edge.address}`);
    this.#target = { host: hostname, port: Number(port) };
  }

  static async start(edge: Edge): Promise<EdgeProxy> {
    const proxy = new EdgeProxy(edge);
    await proxy.#listen();
    return proxy;
  }

  get address(): string {
    return `${PROXY_HOST}:${this.#port}`;
  }

  async refuse(): Promise<void> {
    this.#refusals++;
    const server = this.#server;
    this.#server = undefined;
    const closed = server === undefined ? undefined : once(server, 'close');
    server?.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  async allow(): Promise<void> {
    if (--this.#refusals === 0) await this.#listen();
  }

  async #listen(): Promise<void> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#connected(socket));
    this.#server = server;
    server.listen({ host: PROXY_HOST, port: this.#port, backlog: 511 });
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  #connected(near: Socket): void {
    const far = connect({ ...this.#target, noDelay: true, allowHalfOpen: true });
    const both = [near, far];
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        // A reset stays one on the other side: the peer must see what it would see without us.
        for (const other of both) if (!other.destroyed && (socket.errored || !socket.readableEnded)) other.resetAndDestroy();
      });
      socket.on('error', () => {});
    }
    near.pipe(far);
    if (this.edge.to !== 'kafka') {
      far.pipe(near);
      return;
    }
    // The broker tells its clients where it is, and they would go there past us.
    const rewriter = new KafkaAddressRewriter(this.#target, { host: PROXY_HOST, port: this.#port });
    far.on('data', (bytes) => {
      for (const frame of rewriter.push(bytes)) if (!near.write(frame)) far.pause();
    });
    near.on('drain', () => far.resume());
    far.on('end', () => near.end());
  }
}
