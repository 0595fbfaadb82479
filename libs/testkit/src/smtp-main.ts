// The test receiver as a process of its own, for tests that kill everything else: node libs/testkit/src/smtp-main.ts --port 2525 --file got.jsonl
// Prints `{"address":"127.0.0.1:2525","pid":…}` when it listens. What it took is in the file, on the disk before each 250.
import { parseArgs } from 'node:util';
import { startSmtpReceiver, type TlsMode } from './smtp.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    host: { type: 'string', default: '127.0.0.1' },
    file: { type: 'string' },
    tls: { type: 'string', default: 'offered' },
  },
});
const tlsModes: readonly string[] = ['offered', 'off', 'refused', 'garbage', 'close', 'hang', 'implicit'] satisfies TlsMode[];
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535 || !tlsModes.includes(values.tls)) {
  console.error(
    'usage: smtp-main.ts [--port 0..65535] [--host 127.0.0.1] [--file lines.jsonl] [--tls offered|off|refused|garbage|close|hang|implicit]',
  );
  process.exit(64);
}

const receiver = await startSmtpReceiver({
  port,
  host: values.host,
  tls: values.tls as TlsMode,
  // It runs for long and under load: the file is the record.
  keepRaw: false,
  ...(values.file === undefined ? {} : { file: values.file }),
});
console.log(JSON.stringify({ address: receiver.address, pid: process.pid }));
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void receiver[Symbol.asyncDispose]().then(() => process.exit(0));
  });
}
