/** Postfix's own test receiver, which is what both sides of the delivery measurement send to; our own sink where it is missing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { freePort } from '@maildoot/testkit/ports';
import { waitFor } from '@maildoot/testkit/wait';
import { startSink } from './reporter.ts';

const binary = '/usr/sbin/smtp-sink';

export interface CountingSink extends AsyncDisposable {
  name: string;
  port: number;
  messages(): Promise<number>;
}

export async function startCountingSink(): Promise<CountingSink> {
  if (!existsSync(binary)) {
    const sink = await startSink();
    return {
      name: 'our own sink (smtp-sink is not installed)',
      port: sink.port,
      messages: async () => (await sink.report()).messages,
      [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
    };
  }
  const port = await freePort();
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(binary, ['-c', ...asRoot, `127.0.0.1:${port}`, '1000'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const killed = () => void child.kill('SIGKILL');
  process.once('exit', killed);
  let tail = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    // `sess=1 quit=0 mesg=12\r`, written anew at each message.
    tail = (tail + text).slice(-200);
  });
  await waitFor(() => answers(port), { what: 'smtp-sink to listen' });
  return {
    name: 'smtp-sink',
    port,
    messages: async () => Number([...tail.matchAll(/mesg=(\d+)\s/g)].at(-1)?.[1] ?? 0),
    async [Symbol.asyncDispose]() {
      process.off('exit', killed);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
