// A TCP proxy in front of PostgreSQL that can go away, or break a connection at its commit: before the server hears of it, while the server
// does it, or after the server has done it and before the client hears of it. Broken are connections that accept messages, so that the
// rest goes on. They commit by the one statement that writes messages, or, with several idempotency keys, by COMMIT.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface PostgresProxy extends AsyncDisposable {
  /** The given URL through the proxy. */
  url: string;
  /** Breaks the next connection that commits messages. */
  breakNextCommit(when: 'before' | 'during' | 'after'): void;
  /** How many were broken so. */
  readonly broken: number;
  /** Refuses connections and breaks those there are, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

// A simple query: type, length of what follows, text.
const beginMessage = Buffer.from('Q\0\0\0\x0aBEGIN\0', 'latin1');
const commitMessage = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
const rollbackMessage = Buffer.from('Q\0\0\0\x0dROLLBACK\0', 'latin1');
// The name of the prepared statement, as its Bind has it.
const statementName = Buffer.from('\0accept-messages\0', 'latin1');
// Ready for the next query, and in no transaction.
const committed = Buffer.from('Z\0\0\0\x05I', 'latin1');

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let armed: 'before' | 'during' | 'after' | undefined;
  let broken = 0;

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    // Since the last transaction began: the same connection also does other work of the service.
    let accepts = false;
    let inTransaction = false;
    let breakAtAnswer = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket
        .on('error', end)
        .on('close', () => sockets.delete(socket))
        .on('close', end);
    }
    client.on('data', (data) => {
      const writes = data.includes(statementName);
      if (data.includes(beginMessage)) [inTransaction, accepts] = [true, false];
      accepts ||= writes;
      const commits = inTransaction ? data.includes(commitMessage) : writes;
      if (accepts && armed !== undefined && commits) {
        broken++;
        const when = armed;
        armed = undefined;
        if (when === 'before') return end();
        breakAtAnswer = true;
        // The server's end stays until it has answered: it works on and doesn't know yet that nobody listens.
        if (when === 'during') client.off('close', end).destroy();
      }
      if (data.includes(commitMessage) || data.includes(rollbackMessage)) inTransaction = false;
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (breakAtAnswer && data.includes(committed)) return end();
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
