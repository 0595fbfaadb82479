import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { kafkaMissing, startKafka } from './kafka.ts';
import { waitFor } from './wait.ts';

const skip = kafkaMissing() ?? false;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
      .once('connect', () => socket.destroy());
  });
}

test('a broker is killed, comes back on its port and its data, and leaves nothing behind', { skip }, async () => {
  const kafka = await startKafka();
  const { pid, port, directory } = kafka;
  assert.equal(kafka.brokers, `127.0.0.1:${port}`);
  assert.ok(await accepts(port));
  kafka.kill('SIGKILL');
  await kafka.stopped;
  assert.equal(isAlive(pid), false);
  assert.equal(await accepts(port), false);
  await kafka.restart();
  assert.ok(await accepts(port));
  assert.equal(kafka.port, port);
  assert.notEqual(kafka.pid, pid);
  kafka.kill('SIGSTOP');
  await kafka[Symbol.asyncDispose]();
  assert.equal(isAlive(kafka.pid), false);
  assert.equal(existsSync(directory), false);
});

test('the broker of a process that was killed ends with it', {
  skip: skip || (process.platform !== 'linux' && 'only on Linux'),
}, async () => {
  const script = `
    import { startKafka } from ${JSON.stringify(new URL('./kafka.ts', import.meta.url).href)};
    const { pid } = await startKafka();
    console.log(pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await once(child.stdout, 'data');
  const pid = Number(String(output));
  assert.ok(isAlive(pid));
  child.kill('SIGKILL');
  await waitFor(() => !isAlive(pid), { what: 'the broker to end' });
});
