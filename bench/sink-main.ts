/**
 * Where mail goes in a measurement: an SMTP server that takes everything and keeps nothing, as cheap as it can be. Counts messages; on
 * request tells when it had which (by the number in the subject), in the machine's monotonic time.
 */
import { createServer, type Socket } from 'node:net';

export interface SinkReport {
  messages: number;
  sessions: number;
  /** Number in the subject → performance.timeOrigin-independent ms, of those since the last report. */
  arrivals: [number, number][];
}

let messages = 0;
let sessions = 0;
let arrivals: [number, number][] = [];
const records = process.argv.includes('--arrivals');
const endOfData = Buffer.from('\r\n.\r\n');

const server = createServer({ noDelay: true }, serve);
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('message', () => {
  process.send?.({ messages, sessions, arrivals } satisfies SinkReport);
  arrivals = [];
});
process.once('disconnect', () => process.exit(0));

function serve(socket: Socket): void {
  sessions++;
  let held: Buffer = Buffer.alloc(0);
  let inData = false;
  let subject: string | undefined;
  socket.on('error', () => {});
  socket.write('220 sink.example ESMTP\r\n');
  socket.on('data', (chunk) => {
    let bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let answer = '';
    for (;;) {
      if (inData) {
        // A marker that arrives in two pieces: what may be its beginning stays.
        const end = bytes.indexOf(endOfData);
        if (records && subject === undefined) subject = /^Subject: Order (\d{12})/m.exec(bytes.toString('latin1', 0, 8192))?.[1];
        if (end < 0) {
          bytes = records && subject === undefined ? bytes : bytes.subarray(Math.max(0, bytes.length - 4));
          break;
        }
        messages++;
        if (records && subject !== undefined) arrivals.push([Number(subject), Number(process.hrtime.bigint()) / 1e6]);
        subject = undefined;
        inData = false;
        answer += '250 2.0.0 taken\r\n';
        bytes = bytes.subarray(end + endOfData.length);
        continue;
      }
      const end = bytes.indexOf('\r\n');
      if (end < 0) break;
      const verb = bytes.toString('latin1', 0, Math.min(end, 4)).toUpperCase();
      bytes = bytes.subarray(end + 2);
      switch (verb) {
        case 'EHLO':
          answer += '250-sink.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n';
          break;
        case 'DATA':
          answer += '354 go on\r\n';
          inData = true;
          break;
        case 'QUIT':
          socket.end(`${answer}221 2.0.0 bye\r\n`);
          return;
        default:
          answer += '250 2.1.0 ok\r\n';
      }
    }
    held = bytes;
    if (answer !== '') socket.write(answer);
  });
}
