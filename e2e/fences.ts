/**
 * Executes a page of the documentation as its reader would: every fence of `sh` in one shell, in order; a fence of another language with a name is
 * a file that the reader saves (```js receiver.mjs); a fence of `json` or `text` is what the one before it prints, and where none follows, nothing
 * is printed. `sh again` is asked again until it prints what is shown. `<!-- reader: … -->` is what the reader does elsewhere: the test does it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inherited } from './platform.ts';
import { jsonDiffers, textDiffers } from './shown.ts';

const againForMs = 90_000;
const fenceWithinMs = 180_000;

interface Printed {
  language: 'json' | 'text';
  text: string;
}
export type Step =
  | { kind: 'run'; line: number; text: string; again: boolean; printed: Printed | undefined }
  | { kind: 'file'; line: number; text: string; name: string }
  | { kind: 'elsewhere'; line: number; text: string };

/** What a page has its reader do. @throws Error for a fence that would not be checked */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  for (const match of markdown.matchAll(/^```(.*)\n([\s\S]*?)^```$|^<!-- reader: (.*) -->$/gm)) {
    const [, info = '', text = '', elsewhere] = match;
    const line = markdown.slice(0, match.index).split('\n').length;
    const [language = '', word = ''] = info.split(' ');
    const last = steps.at(-1);
    if (elsewhere !== undefined) steps.push({ kind: 'elsewhere', line, text: elsewhere });
    else if (language === 'sh') steps.push({ kind: 'run', line, text, again: word === 'again', printed: undefined });
    else if (word !== '') steps.push({ kind: 'file', line, text, name: word });
    else if ((language === 'json' || language === 'text') && last?.kind === 'run' && last.printed === undefined)
      last.printed = { language, text };
    else throw new Error(`line ${line}: a fence that nothing runs and nothing prints`);
  }
  return steps;
}

export interface Reader {
  /** Environment of the reader's shell, which begins in this directory. */
  env: (directory: string) => Record<string, string>;
  /** What the pages say and is otherwise here: `http://127.0.0.1:8080`, a port that may be taken. */
  replaced: Readonly<Record<string, string>>;
  /** What the reader does elsewhere, by its name. */
  elsewhere: Readonly<Record<string, () => Promise<void>>>;
  /** Name in the reader's directory → what it leads to. */
  links: Readonly<Record<string, string>>;
}

/** @throws Error with page, line and what came, for the first step that is not as the page says */
export async function follow(page: string, reader: Reader): Promise<number> {
  let markdown = await readFile(page, 'utf8');
  for (const [said, real] of Object.entries(reader.replaced)) markdown = markdown.replaceAll(said, real);
  const steps = stepsOf(markdown);
  const shell = await Shell.start(reader);
  try {
    for (const step of steps) {
      try {
        if (step.kind === 'elsewhere') await doElsewhere(step.text, reader);
        else if (step.kind === 'file') await shell.save(step.name, step.text);
        else await runStep(step, shell);
      } catch (error) {
        throw new Error(`${page}:${step.line}: ${(error as Error).message}\n${step.text}`);
      }
    }
  } finally {
    await shell.end();
  }
  return steps.filter(({ kind }) => kind === 'run').length;
}

async function doElsewhere(name: string, { elsewhere }: Reader): Promise<void> {
  const action = elsewhere[name];
  assert.ok(action, `nobody knows how the reader ${name}`);
  await action();
}

async function runStep({ text, again, printed }: Extract<Step, { kind: 'run' }>, shell: Shell): Promise<void> {
  const until = performance.now() + againForMs;
  for (;;) {
    const came = await shell.run(text, again);
    const problem = problemWith(printed, came);
    if (problem === undefined) return;
    if (!again || performance.now() > until) throw new Error(`${problem}\n─── came:\n${came}\n─── shown:\n${printed?.text ?? ''}\n───`);
    await delay(100);
  }
}

function problemWith(printed: Printed | undefined, came: string): string | undefined {
  if (printed === undefined) return came === '' ? undefined : 'something was printed that the page does not show';
  return printed.language === 'json' ? jsonDiffers(printed.text, came) : textDiffers(printed.text, came);
}

/** The reader's terminal: bash in a directory of its own. */
class Shell {
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterableIterator<string>;
  #count = 0;

  private constructor(directory: string, child: ChildProcess) {
    this.#directory = directory;
    this.#child = child;
    assert.ok(child.stdout);
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static async start({ env, links }: Reader): Promise<Shell> {
    const directory = await mkdtemp(join(tmpdir(), 'maildoot-reader-'));
    for (const [name, target] of Object.entries(links)) {
      await mkdir(dirname(join(directory, name)), { recursive: true });
      await symlink(target, join(directory, name));
    }
    await mkdir(join(directory, '.bin'));
    await writeFile(join(directory, '.bin', 'npm'), npm, { mode: 0o755 });
    const base = inherited();
    const child = spawn('bash', ['--noprofile', '--norc'], {
      cwd: directory,
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...base, PATH: `${directory}/.bin:${base.PATH}`, HOME: directory, TMPDIR: directory, PACKAGES: packages, ...env(directory) },
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.write('set -e\n');
    return new Shell(directory, child);
  }

  /** What is printed, by commands and their errors alike. One that fails ends the reading, unless it is asked again. */
  async run(text: string, again: boolean): Promise<string> {
    const script = join(this.#directory, `.fence-${++this.#count}`);
    await writeFile(script, text);
    const command = again
      ? `(source ${script}) > ${script}.out 2>&1 < /dev/null || true`
      : `source ${script} > ${script}.out 2>&1 < /dev/null`;
    this.#child.stdin?.write(`${command}\npwd\n`);
    const line = await Promise.race([this.#lines.next(), delay(fenceWithinMs, undefined, { ref: false })]);
    const came = await readFile(`${script}.out`, 'utf8').catch(() => '');
    if (line === undefined) throw new Error(`it did not end within ${fenceWithinMs / 1000} s\n${came}`);
    if (line.done) throw new Error(`a command failed\n${came}`);
    this.#cwd = line.value;
    return came;
  }
  #cwd: string | undefined;

  async save(name: string, text: string): Promise<void> {
    await writeFile(join(this.#cwd ?? this.#directory, name), text);
  }

  /** With whatever runs in the background. */
  async end(): Promise<void> {
    const ended = this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'exit') : undefined;
    try {
      process.kill(-(this.#child.pid as number), 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await ended;
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 10 });
  }
}

const packages = fileURLToPath(new URL('node_modules', import.meta.url));
/** Stands for the registry of npm: gives the packages that this directory depends on. */
const npm = `#!/bin/sh
[ "$1" = install ] || exit 1
shift
mkdir -p node_modules
for name; do
  [ -e "$PACKAGES/$name" ] || { echo "npm: there is no $name here"; exit 1; }
  ln -s "$PACKAGES/$name" "node_modules/$name"
done
`;
