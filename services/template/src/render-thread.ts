// One thread that parses and renders. It does one task after another and keeps what it has parsed; it may be ended at any moment.
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { Compiled, Limits } from './engine.ts';
import type { Checked, Filled, NoObject, Program, Refused } from './source.ts';

export interface ThreadOptions {
  limits: Limits;
  /** Where it is at every moment (place.ts), for whoever ends it. */
  place: SharedArrayBuffer;
}

/** `check`: whether the source can be kept. `fill`: what comes of it with these variables. */
export type Task =
  | { kind: 'check'; program: Program }
  | { kind: 'fill'; program: Program /** JSON in UTF-8; empty = {} */; variables: Uint8Array };

export type Result = Checked | Filled | Refused | NoObject;

export interface Reply {
  /** None: it has started, and what it used until now is no task's. */
  result: Result | undefined;
  /** Of the thread since it began, in microseconds. */
  cpuUs: number;
}

/** What is kept parsed: about so many characters of source. */
const keptChars = 500_000;

// Whatever renders gives way to what accepts and delivers mail. On Linux a thread has a priority of its own; elsewhere the call would
// mean the whole process.
const NICE = 10;
if (process.platform === 'linux') setPriority(0, NICE);

const { check, compile, fill, notePlaceIn } = await import('./engine.ts');
const { limits, place } = workerData as ThreadOptions;
notePlaceIn(place);
const kept = new Map<string, { compiled: Compiled; chars: number }>();
let chars = 0;

function compiledOf(program: Program): Compiled | Refused {
  const found = program.key === '' ? undefined : kept.get(program.key);
  if (found !== undefined) {
    kept.delete(program.key);
    kept.set(program.key, found);
    return found.compiled;
  }
  const compiled = compile(program);
  if (program.key === '' || 'kind' in compiled) return compiled;
  let size = program.subject.length + program.html.length + program.text.length;
  for (const { html, text } of program.partials.values()) size += html.length + text.length;
  kept.set(program.key, { compiled, chars: size });
  chars += size;
  for (const [key, oldest] of kept) {
    if (chars <= keptChars || key === program.key) break;
    kept.delete(key);
    chars -= oldest.chars;
  }
  return compiled;
}

function resultOf(task: Task): Result {
  const compiled = compiledOf(task.program);
  if ('kind' in compiled) return compiled;
  if (task.kind === 'check') return check(compiled, limits);
  let variables: unknown;
  try {
    variables = task.variables.length === 0 ? {} : JSON.parse(Buffer.from(task.variables).toString());
  } catch {
    return { kind: 'no_object' };
  }
  return fill(compiled, variables, limits);
}

/** Whatever else is thrown is a mistake of ours: it ends the thread, and is an INTERNAL_ERROR. */
function resultOrTooDeep(task: Task): Result {
  try {
    return resultOf(task);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { kind: 'refused', problems: [{ part: 'html', code: 'memory_limit', message: 'The template is nested too deeply.' }] };
  }
}

function reply(result: Result | undefined): void {
  const { user, system } = process.threadCpuUsage();
  parentPort?.postMessage({ result, cpuUs: user + system } satisfies Reply);
}

parentPort?.on('message', (task: Task) => reply(resultOrTooDeep(task)));
reply(undefined);
