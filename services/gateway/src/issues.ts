// What is wrong with a request, place by place. zod says it in its own words and gives up inside unions; here its findings become the
// API's issues: the path as the caller wrote it, a code for programs, a sentence for people, and for an unknown field the nearest known one.
import type { z } from 'zod';
import { nearestName } from './nearest-name.ts';

export interface Issue {
  /** `to[1].email`; empty for the whole. */
  path: string;
  code: string;
  message: string;
  /** In the source of a template, from 1. */
  line?: number | undefined;
  column?: number | undefined;
}

/** More than this many are of no use to anybody; the last one says so. */
const maxIssues = 500;
const maxShownNameChars = 100;

type Schema = z.core.$ZodType;
type Finding = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Everything that a schema found wrong with an input. */
export function issuesOf(schema: Schema, input: unknown, error: z.core.$ZodError, under: Path = []): Issue[] {
  const issues: Issue[] = [];
  for (const finding of error.issues) collect(schema, input, finding, under, issues);
  return issues;
}

/** At most as many issues as anybody reads. */
export function limitIssues(issues: Issue[], most = maxIssues): Issue[] {
  if (issues.length <= most) return issues;
  const left = issues.length - most + 1;
  return [...issues.slice(0, most - 1), { path: '', code: 'too_many_issues', message: `There are ${left} more problems.` }];
}

/** `['messages', 3, 'to', 1]` → `messages[3].to[1]`. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(String(part))) text += text === '' ? String(part) : `.${String(part)}`;
    else text += `[${JSON.stringify(shown(String(part)))}]`;
  }
  return text;
}

function collect(schema: Schema, input: unknown, finding: Finding, under: Path, issues: Issue[]): void {
  const path = [...under, ...finding.path];
  const place = follow(schema, input, finding.path);
  switch (finding.code) {
    case 'invalid_union': {
      const options = place.schema === undefined ? [] : optionsOf(place.schema);
      const chosen = finding.errors.findIndex((errors) => !isOtherType(errors));
      const option = options[chosen];
      if (chosen === -1 || option === undefined) {
        issues.push(wrongType(path, place.input, finding.errors.flatMap(expectedTypes)));
        return;
      }
      for (const inner of finding.errors[chosen] ?? []) collect(option, place.input, inner, path, issues);
      return;
    }
    case 'unrecognized_keys': {
      const known = place.schema === undefined ? [] : knownNames(place.schema, place.input);
      // Looking for the nearest name costs something; a body can have a million names.
      for (const key of finding.keys.slice(0, maxIssues)) issues.push(unknownField(path, key, known));
      return;
    }
    case 'invalid_type':
      issues.push(wrongType(path, place.input, [finding.expected]));
      return;
    case 'invalid_value':
      issues.push(place.input === undefined ? required(path) : unknownValue(path, place.input, finding.values));
      return;
    case 'too_big':
      issues.push({ path: pathText(path), ...tooBig(finding.origin, Number(finding.maximum)) });
      return;
    case 'too_small':
      issues.push({ path: pathText(path), ...tooSmall(finding.origin, Number(finding.minimum)) });
      return;
    case 'invalid_format':
      issues.push({ path: pathText(path), ...badFormat(finding.format, finding.message) });
      return;
    case 'custom':
      issues.push({ path: pathText(path), code: String(finding.params?.code ?? 'invalid'), message: finding.message });
      return;
    default:
      issues.push({ path: pathText(path), code: 'invalid', message: 'The value is not valid.' });
  }
}

export function unknownField(path: Path, name: string, known: Iterable<string>): Issue {
  const nearest = nearestName(name, known);
  const message = nearest === undefined ? 'This field is not known. Remove it.' : `This field is not known. Did you mean ${nearest}?`;
  return { path: pathText([...path, shown(name)]), code: 'unknown_field', message };
}

function required(path: Path): Issue {
  return { path: pathText(path), code: 'required', message: path.length === 0 ? 'A value is required.' : 'This field is required.' };
}

function wrongType(path: Path, input: unknown, expected: readonly string[]): Issue {
  if (input === undefined) return required(path);
  const names = [...new Set(expected.map((type) => typeNames[type] ?? type))];
  return { path: pathText(path), code: 'invalid_type', message: `This must be ${listed(names)}, not ${typeNames[jsonType(input)]}.` };
}

function unknownValue(path: Path, input: unknown, values: readonly unknown[]): Issue {
  const words = values.map(String);
  const nearest = typeof input === 'string' ? nearestName(input, words) : undefined;
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`;
  return { path: pathText(path), code: 'invalid_value', message: `This must be ${listed(words)}.${hint}` };
}

function tooBig(origin: string, maximum: number): Omit<Issue, 'path'> {
  if (origin === 'string') return { code: 'too_long', message: `This has at most ${maximum} characters.` };
  if (origin === 'array') return { code: 'too_many', message: `There may be at most ${maximum} of these.` };
  return { code: 'too_large', message: `This is at most ${maximum}.` };
}

function tooSmall(origin: string, minimum: number): Omit<Issue, 'path'> {
  if (origin === 'string')
    return { code: 'too_short', message: minimum === 1 ? 'This must not be empty.' : `This has at least ${minimum} characters.` };
  if (origin === 'array') return { code: 'too_few', message: minimum === 1 ? 'Give at least one.' : `Give at least ${minimum}.` };
  return { code: 'too_small', message: `This is at least ${minimum}.` };
}

function badFormat(format: string, message: string): Omit<Issue, 'path'> {
  if (format === 'datetime') return { code: 'invalid_time', message: 'This must be a time with its zone, like 2026-01-31T08:00:00Z.' };
  return { code: 'invalid_format', message };
}

const typeNames: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  null: 'null',
  undefined: 'missing',
};

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function listed(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? 'something else';
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function shown(name: string): string {
  return name.length > maxShownNameChars ? `${name.slice(0, maxShownNameChars)}…` : name;
}

// ── finding the schema behind a path ─────────────────────────────────────────────────────────────────────────────────────

/** True when a union's option failed only because it wants another type: not the option that the caller meant. */
function isOtherType(errors: readonly Finding[]): boolean {
  return errors.every(
    (error) =>
      error.path.length === 0 && (error.code === 'invalid_type' || (error.code === 'invalid_union' && error.errors.every(isOtherType))),
  );
}

function expectedTypes(errors: readonly Finding[]): string[] {
  return errors.flatMap((error) => {
    if (error.code === 'invalid_type') return [error.expected];
    return error.code === 'invalid_union' ? error.errors.flatMap(expectedTypes) : [];
  });
}

function follow(schema: Schema, input: unknown, path: Path): { schema: Schema | undefined; input: unknown } {
  let at: Schema | undefined = schema;
  let value = input;
  for (const part of path) {
    at = at === undefined ? undefined : stepInto(at, value, part);
    // An own property only: `constructor` is a name like any other here.
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, part) ? (value as Record<PropertyKey, unknown>)[part] : undefined;
  }
  return { schema: at, input: value };
}

function stepInto(schema: Schema, input: unknown, part: PropertyKey): Schema | undefined {
  const { def } = unwrapped(schema)._zod as z.core.$ZodTypes['_zod'];
  switch (def.type) {
    case 'object':
      return Object.hasOwn(def.shape, part) ? (def.shape as Record<PropertyKey, Schema>)[part] : undefined;
    case 'array':
      return def.element;
    case 'record':
      return def.valueType;
    case 'union': {
      const fits = def.options.find((option) => acceptsType(option, input));
      return fits === undefined ? undefined : stepInto(fits, input, part);
    }
    default:
      return undefined;
  }
}

function acceptsType(schema: Schema, input: unknown): boolean {
  const { def } = unwrapped(schema)._zod as z.core.$ZodTypes['_zod'];
  if (def.type === 'union') return def.options.some((option) => acceptsType(option, input));
  const type = jsonType(input);
  return def.type === type || (def.type === 'record' && type === 'object');
}

function optionsOf(schema: Schema): readonly Schema[] {
  const { def } = unwrapped(schema)._zod as z.core.$ZodTypes['_zod'];
  return def.type === 'union' ? def.options : [];
}

/** Of a union, those of the option that the input is: when nothing but unknown names is wrong, Zod tells them of the union itself. */
function knownNames(schema: Schema, input: unknown): string[] {
  const { def } = unwrapped(schema)._zod as z.core.$ZodTypes['_zod'];
  if (def.type === 'union') {
    const fits = def.options.find((option) => acceptsType(option, input));
    return fits === undefined ? [] : knownNames(fits, input);
  }
  return def.type === 'object' ? Object.keys(def.shape) : [];
}

/** Without what only wraps: optional, default, a transformation behind it. */
function unwrapped(schema: Schema): Schema {
  const { def } = schema._zod as z.core.$ZodTypes['_zod'];
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
      return unwrapped(def.innerType);
    case 'pipe':
      return unwrapped((def.in._zod as z.core.$ZodTypes['_zod']).def.type === 'transform' ? def.out : def.in);
    default:
      return schema;
  }
}
