// A TCP proxy in front of PostgreSQL that can go away, or break a connection at its COMMIT: before the server hears it, or after the server
// has done it and before the client hears of it. Only transactions that accept messages are broken, so that the rest goes on.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface PostgresProxy extends AsyncDisposable {
  /** The given URL through the proxy. */
  url: string;
  /** Breaks the next connection that commits messages. */
  breakNextCommit(when: 'before' | 'after'): void;
  /** How many were broken so. */
  readonly broken: number;
  /** Refuses connections and breaks those there are, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

// A simple query: type, length of what follows, text.
const commitMessage = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
const commitAnswer = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let armed: 'before' | 'after' | undefined;
  let broken = 0;

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let accepts = false;
    let breakAtAnswer = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on('data', (data) => {
      accepts ||= data.includes('accept-messages');
      if (data.includes(commitMessage)) {
        if (accepts && armed !== undefined) {
          broken++;
          breakAtAnswer = armed === 'after';
          armed = undefined;
          if (!breakAtAnswer) return end();
        }
        accepts = false;
      }
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (breakAtAnswer && data.includes(commitAnswer)) return end();
      client.write(data);
    });
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);

  const down = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url: url.href,
    breakNextCommit(when) {
      armed = when;
    },
    get broken() {
      return broken;
    },
    down,
    up: () => listen(port),
    [Symbol.asyncDispose]: down,
  };
}
