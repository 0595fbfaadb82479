// Ports for those who can't be given 0: the reader of a page who types one, a broker that comes back on the same one.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * One that nobody listens on. Not from the range that the system takes for outgoing connections: before it is used, or while its owner is
 * down, somebody's connection could be given it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port between 20000 and 32000');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });
}
