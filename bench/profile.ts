/** V8's CPU profile of a stretch of a process' life, over its inspector. Only while it runs does it cost anything (a few percent). */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Platform } from './platform.ts';
import { type CpuProfile, summaryOf } from './profile-summary.ts';
import { note } from './report.ts';

export class Inspector implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #number = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', (event) => {
      const message = JSON.parse(String(event.data)) as { id?: number; result?: unknown; error?: { message: string } };
      if (message.id === undefined) return;
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(message.error.message));
      else waiting?.resolve(message.result);
    });
    socket.addEventListener('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the inspected process ended'));
    });
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`can't reach the inspector at ${url}`)));
    });
    return new Inspector(socket);
  }

  ask<T>(method: string, params: object = {}): Promise<T> {
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as T), reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}

export interface Profiling {
  /** Writes the profiles and prints what took the time. */
  stop(): Promise<void>;
}

/** Profiles every role of the platform until stopped; without a directory nothing happens. */
export async function startProfiling(platform: Platform, label: string, directory: string | undefined): Promise<Profiling> {
  if (directory === undefined) return { stop: async () => {} };
  const names = platform.watched().flatMap(({ name, tree }) => (tree || name === 'kafka' || name === 'supervisor' ? [] : [name]));
  await mkdir(directory, { recursive: true });
  const inspectors = await Promise.all(
    names.map(async (name) => {
      const inspector = await Inspector.open(await platform.inspectorOf(name));
      await inspector.ask('Profiler.enable');
      await inspector.ask('Profiler.setSamplingInterval', { interval: 250 });
      await inspector.ask('Profiler.start');
      return { name, inspector };
    }),
  );
  return {
    async stop() {
      for (const { name, inspector } of inspectors) {
        const { profile } = await inspector.ask<{ profile: CpuProfile }>('Profiler.stop');
        const path = join(directory, `${label}-${name}.cpuprofile`);
        await writeFile(path, JSON.stringify(profile));
        note(`\n${name}, ${label} (${path})\n${summaryOf(profile)}`);
        await inspector[Symbol.asyncDispose]();
      }
    },
  };
}
