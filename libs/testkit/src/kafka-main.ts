/**
 * One Kafka until this process is asked to end, for tools/kafka.sh and `make kafka`.
 *
 *   node libs/testkit/src/kafka-main.ts [--port 9092] [--directory .maildoot/kafka]
 *   node libs/testkit/src/kafka-main.ts --record      a start whose classes are archived for later starts
 */
import { parseArgs } from 'node:util';
import { startKafka } from './kafka.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { port: text, directory: text, record: { type: 'boolean' } } });

const asked = new Promise<void>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve());
});
// The JVM alone doesn't keep this process alive.
const alive = setInterval(() => {}, 60_000);

try {
  await using kafka = await startKafka({
    ...(values.port !== undefined && { port: Number(values.port) }),
    ...(values.directory !== undefined && { directory: values.directory }),
    recordClasses: values.record === true,
  });
  if (values.record === true) {
    kafka.kill('SIGTERM');
    await kafka.stopped;
  } else {
    console.log(`KAFKA_BROKERS=${kafka.brokers}`);
    await Promise.race([asked, kafka.stopped]);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  clearInterval(alive);
}
