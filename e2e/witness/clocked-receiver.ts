/**
 * An SMTP server in a process of its own that says when it had which message, by its own clock. Takes everything and keeps nothing. Started
 * with `fork`: says its port when it listens, and answers every message to it with what came since the last one.
 *
 *   clocked-receiver.ts [milliseconds before a message is taken]
 */
import { createServer, type Socket } from 'node:net';

/** One per recipient. */
export interface Arrival {
  to: string;
  /** Date.now() at its final dot. */
  at: number;
}

const takesMs = Number(process.argv[2] ?? 0);
const endOfData = Buffer.from('\r\n.\r\n');
let arrivals: Arrival[] = [];

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('message', () => {
  process.send?.(arrivals);
  arrivals = [];
});
process.once('disconnect', () => process.exit(0));

function serve(socket: Socket): void {
  let held = Buffer.alloc(0);
  let inData = false;
  let recipients: string[] = [];
  socket.on('error', () => {});
  socket.write('220 receiver.example ESMTP\r\n');
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      if (inData) {
        const end = held.indexOf(endOfData);
        if (end < 0) {
          // A marker may come in two pieces.
          held = held.subarray(Math.max(0, held.length - endOfData.length));
          return;
        }
        held = held.subarray(end + endOfData.length);
        inData = false;
        const taken = recipients;
        recipients = [];
        const answer = () => {
          const at = Date.now();
          for (const to of taken) arrivals.push({ to, at });
          socket.write('250 2.0.0 taken\r\n');
        };
        if (takesMs > 0) setTimeout(answer, takesMs);
        else answer();
        continue;
      }
      const end = held.indexOf('\r\n');
      if (end < 0) return;
      const line = held.toString('latin1', 0, end);
      held = held.subarray(end + 2);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'QUIT') {
        socket.end('221 2.0.0 bye\r\n');
        return;
      }
      if (verb === 'MAIL' || verb === 'RSET') recipients = [];
      if (verb === 'RCPT') recipients.push(/<([^>]*)>/.exec(line)?.[1] ?? '');
      if (verb === 'DATA') inData = true;
      socket.write(
        verb === 'EHLO'
          ? '250-receiver.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n'
          : verb === 'DATA'
            ? '354 go on\r\n'
            : '250 2.1.0 ok\r\n',
      );
    }
  });
}
