// Not a test: how many signed 10 KB messages a second go from the queue to a smarthost in another process.
// node services/delivery/test/bench.ts [messages]
import { spawn } from 'node:child_process';
import { openHouse } from './delivery.ts';

const count = Number(process.argv[2] ?? 3_000);
const port = 20_000 + Math.floor(Math.random() * 20_000);
const sink = spawn(
  process.execPath,
  [
    '--input-type=module',
    '-e',
    `
  import { startSmtpReceiver } from ${JSON.stringify(new URL('../../../libs/testkit/src/smtp.ts', import.meta.url).href)};
  const receiver = await startSmtpReceiver({ port: ${port}, keepRaw: false });
  console.log('ready');
`,
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
await new Promise((resolve) => sink.stdout?.once('data', resolve));
const house = await openHouse();
house.makeKey('shop.test');
const text = `${'x'.repeat(76)}\r\n`.repeat(128);
const delivery = await house.startDelivery({ DELIVERY: 'smarthost', SMARTHOST: `127.0.0.1:${port}`, LOG_LEVEL: 'warn' });
const sendAt = new Date(Date.now() + Number(process.argv[3] ?? 8_000));
for (let sent = 0; sent < count; sent += 100) {
  await Promise.all(
    Array.from({ length: 100 }, () => house.accept({ to: ['accept@example.test'], signingDomain: 'shop.test', text, sendAt })),
  );
}
const waitMs = sendAt.getTime() - Date.now();
console.log(`${count} messages in the queue, ${waitMs} ms before they are due`);
if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
const startedAt = performance.now();
const cpu = process.cpuUsage();
while (house.events.length < count) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  console.log(`${house.events.length} after ${Math.round(performance.now() - startedAt)} ms`);
}
const seconds = (performance.now() - startedAt) / 1000;
const used = process.cpuUsage(cpu);
console.log(
  `${Math.round(count / seconds)}/s, ${((used.user + used.system) / 1000 / count).toFixed(2)} ms CPU of this process per message (this process also plays messaging and reads the events)`,
);
await delivery[Symbol.asyncDispose]();
await house[Symbol.asyncDispose]();
sink.kill();
process.exit(0);
