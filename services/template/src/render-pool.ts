// The threads that parse and render templates, and who gets them. What strangers have written runs here, so nothing that runs is trusted to end:
//
// - A task that takes more CPU time than a task ever may, or more memory than a thread has, ends with its thread; its owner is told so, and
//   another thread takes the thread's place.
// - A tenant has one task at a time in work, tenants take turns, and those whose task has run into a limit rest afterwards and for a minute
//   never get the last free thread. So however many of them there are, the others don't wait for them.
import { Worker } from 'node:worker_threads';
import type { Limits } from './engine.ts';
import { errors } from './errors.ts';
import { Place } from './place.ts';
import type { Reply, Result, Task, ThreadOptions } from './render-thread.ts';
import type { Refused } from './source.ts';

export interface RenderPoolOptions {
  limits: Limits;
  /** At most so many; one is there from the beginning. */
  threads: number;
  /** Of each thread's heap. */
  heapMb: number;
  /** For its turn; 5 s unless a test says otherwise. */
  waitsAtMostMs?: number;
  /** How long a task may take on the clock, however little CPU time it gets; 10 s unless a test says otherwise. */
  longestMs?: number;
  /** After a task that has run into a limit its tenant rests for so many times what it took; 3 unless a test says otherwise. */
  restFactor?: number;
  /** A thread was ended with its task. */
  onEnded?: (limit: 'time_limit' | 'memory_limit') => void;
}

export interface RenderPool extends AsyncDisposable {
  /** @throws RpcError OVERLOADED when it has waited too long for its turn */
  run(tenantId: string, task: Task, signal?: AbortSignal): Promise<Result>;
  /** How many threads there are. */
  readonly threads: number;
}

/** What a thread is given beyond the limit that it keeps by itself, in CPU time. */
const graceFactor = 2;
const graceMs = 100;
const struckForMs = 60_000;
/** With the default limits a tenant whose tasks run into them has a quarter of one processor at most. */
const restsAtMostMs = 3_000;
const idleForMs = 60_000;

interface Job {
  tenantId: string;
  task: Task;
  settle(result: Result): void;
  fail(error: Error): void;
}

interface Thread {
  worker: Worker;
  place: Place;
  job: Job | undefined;
  /** When its last task ended, or it had started; undefined: it is starting. */
  cpuUs: number | undefined;
  /** When its task came, or when it had started with one. */
  beganMs: number;
  timer: NodeJS.Timeout | undefined;
}

export function createRenderPool(options: RenderPoolOptions): RenderPool {
  const { limits, threads: most, heapMb, waitsAtMostMs = 5_000, longestMs = 10_000, restFactor = 3, onEnded } = options;
  const threads = new Set<Thread>();
  // Tenants in the order of their turns.
  const waiting = new Map<string, Job[]>();
  const inWork = new Set<string>();
  const struck = new Map<string, { untilMs: number; restsUntilMs: number }>();
  const ending = new Set<Promise<unknown>>();
  let closed = false;

  function startThread(): Thread {
    const place = new Place();
    const workerData: ThreadOptions = { limits, place: place.shared };
    const worker = new Worker(new URL('./render-thread.ts', import.meta.url), {
      workerData,
      name: 'template',
      env: {},
      // Nothing of a template gets into our output.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 8 },
    });
    const thread: Thread = { worker, place, job: undefined, cpuUs: undefined, beganMs: 0, timer: undefined };
    threads.add(thread);
    worker.on('message', ({ result, cpuUs }: Reply) => {
      if (!threads.has(thread)) return;
      thread.cpuUs = cpuUs;
      if (result === undefined) {
        clearTimeout(thread.timer);
        if (thread.job !== undefined) watch(thread);
        return;
      }
      if (result.kind === 'refused' && result.problems.some(({ code }) => code === 'time_limit' || code === 'memory_limit')) strike(thread);
      finish(thread)?.settle(result);
      if (threads.size > 1) thread.timer = setTimeout(() => threads.size > 1 && end(thread), idleForMs).unref();
      dispatch();
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') stop(thread, 'memory_limit');
      else end(thread, error);
    });
    worker.on('exit', () => end(thread, new Error('a render thread ended by itself')));
    worker.unref();
    return thread;
  }

  function finish(thread: Thread): Job | undefined {
    const { job } = thread;
    clearTimeout(thread.timer);
    thread.job = undefined;
    if (job !== undefined) inWork.delete(job.tenantId);
    return job;
  }

  /** Nothing of a thread that has been ended is heard any more. */
  function end(thread: Thread, error?: Error): void {
    if (!threads.delete(thread)) return;
    finish(thread)?.fail(error ?? new Error('a render thread was ended'));
    const ended = thread.worker.terminate();
    ending.add(ended);
    void ended.finally(() => ending.delete(ended));
    dispatch();
  }

  function stop(thread: Thread, limit: 'time_limit' | 'memory_limit'): void {
    if (!threads.has(thread)) return;
    strike(thread);
    const job = finish(thread);
    onEnded?.(limit);
    if (job !== undefined) {
      const { why, ...place } = thread.place.in(job.task.program);
      const message = `The template takes too ${limit === 'time_limit' ? 'long' : 'much memory'}${why}.`;
      job.settle({ kind: 'refused', problems: [{ code: limit, message, ...place }] } satisfies Refused);
    }
    end(thread);
  }

  function strike({ job, beganMs }: Thread): void {
    if (job === undefined) return;
    const now = performance.now();
    if (struck.size > 1000) for (const [tenantId, { untilMs }] of struck) if (untilMs < now) struck.delete(tenantId);
    const restMs = Math.min(restsAtMostMs, (now - beganMs) * restFactor);
    struck.set(job.tenantId, { untilMs: now + struckForMs, restsUntilMs: now + restMs });
    setTimeout(dispatch, Math.ceil(restMs) + 1).unref();
  }

  function watch(thread: Thread): void {
    const { job, cpuUs } = thread;
    const beganMs = performance.now();
    thread.beganMs = beganMs;
    // Only starting: nothing of a stranger runs there yet.
    if (cpuUs === undefined) {
      thread.timer = setTimeout(() => end(thread, overloaded()), longestMs);
      return;
    }
    const allowedMs = limits.cpuMs * graceFactor + graceMs;
    const look = async (): Promise<void> => {
      const usage = await thread.worker.cpuUsage().catch(() => undefined);
      if (thread.job !== job || !threads.has(thread)) return;
      const spentMs = usage === undefined ? 0 : (usage.user + usage.system - cpuUs) / 1000;
      if (spentMs >= allowedMs) stop(thread, 'time_limit');
      // The machine has no time for it, which is not the template's fault.
      else if (performance.now() - beganMs > longestMs) end(thread, overloaded());
      else thread.timer = setTimeout(look, Math.max(20, Math.min(allowedMs - spentMs, longestMs)));
    };
    thread.timer = setTimeout(look, Math.min(allowedMs, longestMs));
  }

  function next(): Job | undefined {
    const free = [...threads].filter(({ job }) => job === undefined).length + most - threads.size;
    if (free <= 0) return undefined;
    const now = performance.now();
    for (const [tenantId, jobs] of waiting) {
      const { untilMs = 0, restsUntilMs = 0 } = struck.get(tenantId) ?? {};
      if (inWork.has(tenantId) || restsUntilMs > now || (untilMs > now && free < 2 && most > 1)) continue;
      const job = jobs.shift();
      // Behind all others, if there is more.
      waiting.delete(tenantId);
      if (jobs.length > 0) waiting.set(tenantId, jobs);
      return job;
    }
    return undefined;
  }

  function dispatch(): void {
    if (closed) return;
    for (let job = next(); job !== undefined; job = next()) {
      const thread = [...threads].find((one) => one.job === undefined) ?? startThread();
      clearTimeout(thread.timer);
      thread.job = job;
      // As long as it has said nothing itself.
      thread.place.part('html');
      inWork.add(job.tenantId);
      thread.worker.postMessage(job.task);
      watch(thread);
    }
    if (threads.size === 0) startThread();
  }

  startThread();
  return {
    get threads() {
      return threads.size;
    },
    run(tenantId, task, signal) {
      return new Promise<Result>((resolve, reject) => {
        const leave = (error: Error): void => {
          const jobs = waiting.get(tenantId) ?? [];
          const at = jobs.indexOf(job);
          if (at === -1) return;
          jobs.splice(at, 1);
          if (jobs.length === 0) waiting.delete(tenantId);
          job.fail(error);
        };
        const onAbort = (): void => leave(overloaded());
        const timer = setTimeout(onAbort, waitsAtMostMs);
        const settled = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
        };
        const job: Job = {
          tenantId,
          task,
          settle(result) {
            settled();
            resolve(result);
          },
          fail(error) {
            settled();
            reject(error);
          },
        };
        if (closed || signal?.aborted) return job.fail(overloaded());
        signal?.addEventListener('abort', onAbort, { once: true });
        const jobs = waiting.get(tenantId);
        if (jobs === undefined) waiting.set(tenantId, [job]);
        else jobs.push(job);
        dispatch();
      });
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      for (const jobs of waiting.values()) for (const job of jobs) job.fail(overloaded());
      waiting.clear();
      for (const thread of threads) end(thread);
      await Promise.all(ending);
    },
  };
}

function overloaded(): Error {
  return errors.OVERLOADED({
    message: 'Too many templates are being rendered at the moment. Try again shortly.',
    retryAfterMs: 1000,
  });
}
