// LiquidJS within our limits: what is parsed and rendered by strangers, in a thread that may be ended at any time (render-pool.ts).
//
// - Time is the thread's own CPU time, not the clock's, so that a busy machine refuses nobody. It is looked at between two nodes of a
//   template; what doesn't end within one node (a regular expression) is ended from outside, with the thread.
// - Memory is LiquidJS's own reckoning, to which we add every character that is written, also into captures: without that,
//   `{% capture s %}{{ s }}{{ s }}{% endcapture %}` doubles for nothing until a string no longer fits into the process.
// - A variable that isn't there, or is null, is written down and leaves its node out. So everything that is missing is known after one run,
//   and whether a variable counts is decided by the branches that are really taken.
// - Templates see own properties of JSON alone, and name other templates in a map. There is no file system behind it.
import {
  Context,
  type Emitter,
  filters,
  IncludeTag,
  LayoutTag,
  Liquid,
  LiquidError,
  RenderError,
  RenderTag,
  type Template,
  toValueSync,
} from 'liquidjs';
import { Absent, Assign, lackedBy, missingVariables, NotThere } from './missing.ts';
import { Place } from './place.ts';
import {
  type Checked,
  type Filled,
  type NoObject,
  type Part,
  type Problem,
  type Program,
  parts,
  type Refused,
  type Source,
} from './source.ts';

export interface Limits {
  /** Of the thread's CPU time, for one template with one set of variables. */
  cpuMs: number;
  /** Characters and list items made on the way, the output included. */
  memoryUnits: number;
}

const maxSubjectChars = 998;
/** How deep templates may be in one another. */
const maxDepth = 10;
const maxProblems = 20;
const maxMissing = 100;
const maxVariables = 500;
// Asking for the CPU time takes a microsecond.
const stepsPerLook = 16;

type Form = 'html' | 'text';
const formOf: Record<Part, Form> = { subject: 'text', html: 'html', text: 'text' };

/** A program that has been parsed and can be filled in any number of times. */
export interface Compiled {
  engines: Record<Form, Liquid>;
  templates: Record<Part, Template[]>;
}

class Stopped extends Error {
  readonly limit: 'time_limit' | 'memory_limit';
  constructor(limit: Stopped['limit'], message: string) {
    super(message);
    this.limit = limit;
  }
}

let place = new Place();

/** Tells from now on where this thread is. */
export function notePlaceIn(shared: SharedArrayBuffer): void {
  place = new Place(shared);
}

// ── rendering ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What one run has left. Shared by all parts and partials of it. */
class Run {
  readonly missing = new Set<string>();
  readonly #untilUs: number;
  readonly #maxUnits: number;
  #units = 0;
  #steps = 0;

  constructor({ cpuMs, memoryUnits }: Limits) {
    this.#untilUs = cpuUs() + cpuMs * 1000;
    this.#maxUnits = memoryUnits;
  }

  step(): void {
    if (this.#steps++ % stepsPerLook === 0 && cpuUs() > this.#untilUs) throw new Stopped('time_limit', 'The template takes too long.');
  }

  /** What LiquidJS calls a limiter. */
  use(units: number): void {
    if (units > 0) this.#units += units;
    if (!(this.#units <= this.#maxUnits)) throw new Stopped('memory_limit', 'The template makes too much text.');
  }

  check(): void {
    this.step();
  }
}

function cpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** LiquidJS's own emitter, counted. */
class Output implements Emitter {
  buffer = '';
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  write(value: unknown): void {
    const text = textOf(value);
    this.#run.use(text.length);
    this.buffer += text;
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  return Array.isArray(value) ? value.map(textOf).join('') : String(value);
}

type Key = string | number;

/** Where variables are looked up. A variable that isn't there throws what LiquidJS knows to be lenient about in conditions and for `default`. */
class Surroundings extends Context {
  readonly run: Run;

  constructor(variables: object, engine: Liquid, run: Run) {
    const limiter = run as unknown as Context['memoryLimit'];
    super(variables, engine.options, { sync: true }, { memoryLimit: limiter, renderLimit: limiter, liquid: engine });
    this.run = run;
  }

  override *_getFromScope(scope: unknown, path: unknown[] | string, strict = this.strictVariables): IterableIterator<unknown> {
    const names = typeof path === 'string' ? path.split('.') : path;
    let value = scope;
    for (const name of names) {
      value = yield this.readProperty(value as never, name as Key);
      if (value instanceof Absent) throw new NotThere(value.variableNames);
    }
    if (strict && (value === undefined || value === null)) throw new NotThere([names.map(String).join('.')]);
    return value;
  }

  override spawn(scope: object = {}): Context {
    return new Surroundings(withoutPrototype(scope), this.liquid as Liquid, this.run);
  }
}

/** LiquidJS's own loop over nodes, but for what is missing and for the time. */
class Renderer {
  *renderTemplates(templates: Template[], context: Surroundings, given?: Emitter): IterableIterator<unknown> {
    const { run } = context;
    const emitter = given ?? new Output(run);
    run.step();
    for (const template of templates) {
      try {
        place.node(template.token);
        run.step();
        const text = yield template.render(context, emitter);
        if (text) emitter.write(text);
      } catch (error) {
        const missing = missingVariables(error);
        if (missing === undefined) throw LiquidError.is(error) ? error : new RenderError(error as Error, template);
        for (const name of [...missing, ...lackedBy(template, context)]) if (run.missing.size < maxMissing) run.missing.add(name);
      }
      if (context.breakCalled || context.continueCalled) break;
    }
    return emitter.buffer;
  }
}

function withoutPrototype(scope: object): object {
  return Object.assign(Object.create(null), scope);
}

/** Fills a program in. What is missing is blank in the text and named in the result. */
export function fill(compiled: Compiled, variables: unknown, limits: Limits): Filled | Refused | NoObject {
  if (typeof variables !== 'object' || variables === null || Array.isArray(variables)) return { kind: 'no_object' };
  const run = new Run(limits);
  const filled: Source = { subject: '', html: '', text: '' };
  for (const part of parts) {
    place.part(part);
    const engine = compiled.engines[formOf[part]];
    // A scope for each part: `increment` writes into it.
    const context = new Surroundings(withoutPrototype(variables), engine, run);
    try {
      filled[part] = String(toValueSync(engine.renderer.renderTemplates(compiled.templates[part], context)));
    } catch (error) {
      return { kind: 'refused', problems: [problemOf(part, error)] };
    }
  }
  const subject = oneLine(filled.subject);
  if (subject.length > maxSubjectChars) {
    const message = `The subject has ${subject.length} characters with these variables; at most ${maxSubjectChars} are possible.`;
    return { kind: 'refused', problems: [{ part: 'subject', code: 'render', message }] };
  }
  return { kind: 'filled', subject, html: mailText(filled.html), text: mailText(filled.text), missing: [...run.missing] };
}

// A line break in a variable must not become one in a header.
function oneLine(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
}

// Mail has no NUL (RFC 5321 section 4.5.2), and half a surrogate pair has no UTF-8.
function mailText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '');
}

// ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Parses a program and all that it names. */
export function compile(program: Program): Compiled | Refused {
  const engines = { html: engineFor('html', program), text: engineFor('text', program) };
  const templates: Record<Part, Template[]> = { subject: [], html: [], text: [] };
  const problems: Problem[] = [];
  for (const part of parts) {
    place.part(part);
    const engine = engines[formOf[part]];
    try {
      templates[part] = engine.parse(program[part]);
      problems.push(...partialProblems(part, templates[part], engine, program));
    } catch (error) {
      problems.push(problemOf(part, error));
    }
  }
  return problems.length > 0 ? { kind: 'refused', problems: problems.slice(0, maxProblems) } : { engines, templates };
}

function engineFor(form: Form, { partials }: Program): Liquid {
  const sourceOf = (name: string): string => {
    const partial = partials.get(name);
    if (partial === undefined) throw new Error(`there is no template ${name}`);
    return partial[form];
  };
  const engine = new Liquid({
    fs: {
      exists: async (name) => partials.has(name),
      existsSync: (name) => partials.has(name),
      readFile: async (name) => sourceOf(name),
      readFileSync: sourceOf,
      resolve: (_directory, name) => name,
    },
    root: '.',
    relativeReference: false,
    cache: true,
    strictFilters: true,
    strictVariables: true,
    lenientIf: true,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    locale: 'en-US',
    ...(form === 'html' ? { outputEscape: 'escape' as const } : {}),
  });
  Object.assign(engine, { renderer: new Renderer() });
  engine.registerTag('assign', Assign);
  // What is escaped explicitly is not escaped twice.
  for (const name of ['escape', 'escape_once', 'xml_escape'] as const) {
    const handler = filters[name];
    if (typeof handler === 'function') engine.registerFilter(name, { raw: true, handler });
  }
  return engine;
}

/** Templates that aren't there, have nothing of this form, or name themselves in the end. */
function partialProblems(part: Part, templates: Template[], engine: Liquid, program: Program): Problem[] {
  const form = formOf[part];
  const problems: Problem[] = [];
  const done = new Set<string>();
  const look = (tag: Template, above: readonly string[], path: readonly string[]): string | undefined => {
    const file = (tag as { file?: unknown }).file;
    if (file === undefined && tag instanceof LayoutTag) return undefined;
    if (typeof file !== 'string') return 'Write the name of the other template in quotes: which one it is can’t depend on variables.';
    const partial = program.partials.get(file);
    if (partial === undefined) return `There is no published template “${file}”.`;
    if (above.includes(partial.id)) return `The templates name each other in a circle: ${[...path, file].join(' → ')}.`;
    if (above.length >= maxDepth) return `Templates are more than ${maxDepth} deep in one another.`;
    if (partial[form] === '') return `The template “${file}” has no ${form === 'html' ? 'HTML' : 'text'}.`;
    if (done.has(file)) return undefined;
    const inside = toValueSync(engine._parsePartialFile(file, true)) as Template[];
    for (const nested of tagsThatName(inside)) {
      const problem = look(nested, [...above, partial.id], [...path, file]);
      if (problem !== undefined) return problem;
    }
    done.add(file);
    return undefined;
  };
  for (const tag of tagsThatName(templates)) {
    const message = look(tag, program.id === '' ? [] : [program.id], []);
    if (message !== undefined) problems.push({ part, code: 'partial', message, ...placeOf(tag.token) });
  }
  return problems;
}

function* tagsThatName(templates: readonly Template[]): Generator<Template> {
  for (const template of templates) {
    if (template instanceof RenderTag || template instanceof IncludeTag || template instanceof LayoutTag) yield template;
    if (template.children !== undefined) yield* tagsThatName(toValueSync(template.children(false, true)) as Template[]);
  }
}

// ── what a source needs ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Whether a program can be kept, and its variables. Required are those that a message without any variables would lack. */
export function check(compiled: Compiled, limits: Limits): Checked | Refused {
  const names = new Set<string>();
  for (const part of parts) {
    place.part(part);
    const engine = compiled.engines[formOf[part]];
    for (const uses of Object.values(engine.analyzeSync(compiled.templates[part]).globals)) {
      for (const { segments } of uses) {
        const name = nameOf(segments);
        if (name !== undefined && names.size < maxVariables) names.add(name);
      }
    }
  }
  const empty = fill(compiled, {}, limits);
  // What fails without variables for another reason than a limit may well work with them.
  if (empty.kind === 'refused' && empty.problems.some(({ code }) => code !== 'render')) return empty;
  const missing = new Set(empty.kind === 'filled' ? empty.missing.map((path) => nameOf(path.split('.'))) : []);
  return { kind: 'checked', variables: [...names].map((name) => ({ name, required: missing.has(name) })) };
}

// `items.first.price` and `items[0].price` need `items`.
function nameOf(segments: readonly unknown[]): string | undefined {
  const end = segments.findIndex(
    (segment, index) => typeof segment !== 'string' || /^\d+$/.test(segment) || (index > 0 && ['first', 'last', 'size'].includes(segment)),
  );
  const names = end === -1 ? segments : segments.slice(0, end);
  return names.length === 0 ? undefined : names.join('.');
}

// ── problems ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

function problemOf(part: Part, error: unknown): Problem {
  const original = LiquidError.is(error) ? error.originalError : error;
  const place = LiquidError.is(error) ? placeOf(error.token) : {};
  if (original instanceof Stopped) return { part, code: original.limit, message: original.message, ...place };
  if (original instanceof RangeError && /call stack/.test(original.message))
    return { part, code: 'memory_limit', message: 'The template is nested too deeply.', ...place };
  const isParsing = LiquidError.is(error) && error.name !== 'RenderError';
  // Of a partial: line and column are of its source.
  const file = LiquidError.is(error) ? error.token.file : undefined;
  const inside = file === undefined ? '' : `In the template “${file}”: `;
  return { part, code: isParsing ? 'syntax' : 'render', message: `${inside}${messageOf(original ?? error)}`, ...place };
}

function placeOf(token: LiquidError['token'] | undefined): { line?: number; column?: number } {
  const [line, column] = token?.getPosition() ?? [];
  return line === undefined || column === undefined ? {} : { line, column };
}

const maxMessageChars = 300;

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const plain = text.replace(/(?:, file:[^,]*)?, line:\d+, col:\d+$/, '').toWellFormed();
  const short = plain.length > maxMessageChars ? `${plain.slice(0, maxMessageChars)}…` : plain;
  return `${short.charAt(0).toUpperCase()}${short.slice(1)}${/[.…]$/.test(short) ? '' : '.'}`;
}
