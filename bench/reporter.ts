/** A process beside the measured ones that tells its port first and answers each question with one message: the mail sink, the collector. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { SinkReport } from './sink-main.ts';

export interface Reporter<Report> extends AsyncDisposable {
  port: number;
  pid: number;
  report(): Promise<Report>;
}

export function startSink(options: { arrivals?: boolean; port?: number } = {}): Promise<Reporter<SinkReport>> {
  return startReporter('./sink-main.ts', [String(options.port ?? 0), ...(options.arrivals ? ['--arrivals'] : [])]);
}

export function startCollector(): Promise<Reporter<{ bytes: number; posts: number }>> {
  return startReporter('./otlp-main.ts', []);
}

async function startReporter<Report>(file: string, args: string[]): Promise<Reporter<Report>> {
  const child: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [first] = (await once(child, 'message')) as [{ port: number }];
  return {
    port: first.port,
    pid: child.pid as number,
    async report() {
      child.send('report');
      const [answer] = (await once(child, 'message')) as [Report];
      return answer;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
