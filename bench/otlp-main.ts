/** A collector that takes spans and drops them, so that telemetry is really sent. Counts what came. */
import { createServer } from 'node:http';

let bytes = 0;
let posts = 0;
const server = createServer((request, response) => {
  posts++;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 }).end('{}'));
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('message', () => process.send?.({ bytes, posts }));
process.once('disconnect', () => process.exit(0));
