// Two schemas → how a value of the one need not be a value of the other. It knows the keywords that our schemas are printed with, and calls a
// change of any other one breaking.
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

export interface Finding {
  /** `warning`: a client may stumble over it that doesn't do what the reference says. */
  weight: 'breaking' | 'warning' | 'addition';
  where: string;
  what: string;
}

/** `request`: what clients may say, the older is the part. `answer`: what they are told, the newer is the part. */
export type Direction = 'request' | 'answer';

export type Note = (weight: Finding['weight'], where: string, what: string) => void;

/** Say something to people, or are taken apart before schemas are compared. */
const annotations = ['description', 'title', 'examples', 'example', 'default', 'deprecated', '$ref', 'anyOf', 'oneOf', 'const'];
const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const compared = [
  'type',
  'enum',
  'pattern',
  'format',
  'contentEncoding',
  'items',
  'properties',
  'required',
  'additionalProperties',
  'propertyNames',
  'not',
];
const known: ReadonlySet<string> = new Set([...annotations, ...lower, ...upper, ...compared]);

/** The schemas of the two documents. */
export class Pair {
  readonly #documents: Record<'old' | 'new', JsonObject>;
  readonly #note: Note;
  /** Named schemas are compared once, however often they are used. */
  readonly #met = new Map<string, Finding[]>();

  constructor(released: JsonObject, served: JsonObject, note: Note) {
    this.#documents = { old: released, new: served };
    this.#note = note;
  }

  old(value: Json): JsonObject {
    return resolved(value, this.#documents.old);
  }

  new(value: Json): JsonObject {
    return resolved(value, this.#documents.new);
  }

  /** Notes how a value of `part` need not be one of `whole`. */
  part(direction: Direction, where: string, part: Json, whole: Json): void {
    for (const { weight, where: place, what } of this.#problems(direction, where, part, whole)) this.#note(weight, place, what);
  }

  #problems(direction: Direction, where: string, part: Json, whole: Json): Finding[] {
    const [ref, other] = [refOf(part), refOf(whole)];
    if (ref === '' || other === '') return this.#alternatives(direction, where, part, whole);
    const key = `${direction} ${ref} ${other}`;
    const met = this.#met.get(key);
    if (met !== undefined) return met;
    // One that contains itself: what is wrong with it is found on the way.
    this.#met.set(key, []);
    const findings = this.#alternatives(direction, ref === other ? (ref.split('/').at(-1) ?? ref) : where, part, whole);
    this.#met.set(key, findings);
    return findings;
  }

  #alternatives(direction: Direction, where: string, part: Json, whole: Json): Finding[] {
    const ofOld = (value: Json) => this.old(value);
    const ofNew = (value: Json) => this.new(value);
    const [parts, wholes] = [
      alternatives(part, direction === 'request' ? ofOld : ofNew),
      alternatives(whole, direction === 'request' ? ofNew : ofOld),
    ];
    return parts.flatMap((one) => {
      // The one that it is nearest to says what is wrong.
      const tries = wholes.map((other) => this.#simple(direction, where, one, other));
      const weigh = (findings: Finding[]) =>
        findings.reduce((sum, { weight, what }) => sum + (what.startsWith('the type') ? 1000 : weight === 'breaking' ? 100 : 1), 0);
      return tries.toSorted((a, b) => weigh(a) - weigh(b))[0] ?? [];
    });
  }

  /** Of schemas without alternatives. */
  #simple(direction: Direction, where: string, part: JsonObject, whole: JsonObject): Finding[] {
    if (isNever(part)) return [];
    const findings: Finding[] = [];
    const note = (weight: Finding['weight'], what: string, place = where): void => void findings.push({ weight, where: place, what });
    // In a request the newer one must not be narrower; in an answer it must not be wider.
    const changed = direction === 'request' ? 'is narrower now' : 'is wider now';
    const bound = direction === 'request' ? 'breaking' : 'warning';

    for (const name of new Set([...Object.keys(part), ...Object.keys(whole)]))
      if (!known.has(name) && JSON.stringify(part[name]) !== JSON.stringify(whole[name]))
        note('breaking', `${name} has changed, which this check doesn’t know`);

    const [types, wanted] = [typesOf(part), typesOf(whole)];
    if (wanted !== undefined && !types?.every((type) => wanted.includes(type) || (type === 'integer' && wanted.includes('number')))) {
      const [was, is] = direction === 'request' ? [types, wanted] : [wanted, types];
      note('breaking', `the type was ${was?.join(' or ') ?? 'any'}, is ${is?.join(' or ') ?? 'any'}`);
      return findings;
    }
    if (whole.enum !== undefined) {
      const words = listOf(whole.enum).map((word) => JSON.stringify(word));
      if (part.enum === undefined) note('breaking', direction === 'request' ? 'only some words are taken now' : 'any word may come now');
      const others = listOf(part.enum)
        .map((word) => JSON.stringify(word))
        .filter((word) => !words.includes(word));
      if (others.length > 0) note(bound, `${others.join(', ')} ${direction === 'request' ? 'is not taken any more' : 'may come now'}`);
    }
    // Words say more than any bound.
    if (part.enum === undefined) {
      for (const name of lower)
        if (whole[name] !== undefined && !(Number(part[name]) >= Number(whole[name]))) note(bound, `${name} ${changed}`);
      for (const name of upper)
        if (whole[name] !== undefined && !(Number(part[name]) <= Number(whole[name]))) note(bound, `${name} ${changed}`);
      if (whole.pattern !== undefined && part.pattern !== whole.pattern) note(bound, `pattern ${changed}`);
      for (const name of ['format', 'contentEncoding'])
        if (whole[name] !== undefined && part[name] !== whole[name])
          note(
            'breaking',
            `${name} was ${(direction === 'request' ? part : whole)[name] ?? 'any'}, is ${(direction === 'request' ? whole : part)[name] ?? 'any'}`,
          );
    }
    if (whole.not !== undefined && !isNever(part) && JSON.stringify(part.not) !== JSON.stringify(whole.not))
      note('breaking', `it ${changed}`);
    if (whole.items !== undefined) findings.push(...this.#problems(direction, `${where}[]`, part.items ?? {}, whole.items));
    if (whole.propertyNames !== undefined)
      findings.push(...this.#problems(direction, `${where} (names)`, part.propertyNames ?? {}, whole.propertyNames));
    if (types?.includes('object')) findings.push(...this.#objects(direction, where, part, whole));
    return findings;
  }

  #objects(direction: Direction, where: string, part: JsonObject, whole: JsonObject): Finding[] {
    const findings: Finding[] = [];
    const note = (weight: Finding['weight'], name: string, what: string): void =>
      void findings.push({ weight, where: `${where}.${name}`, what });
    const [own, other] = [objectOf(part.properties), objectOf(whole.properties)];
    for (const [name, schema] of Object.entries(own)) {
      const of = other[name] ?? whole.additionalProperties;
      if (of === false) note('breaking', name, 'the field is not taken any more');
      else if (other[name] === undefined && direction === 'answer') note('addition', name, 'a new field');
      else if (of !== undefined && of !== true) findings.push(...this.#problems(direction, `${where}.${name}`, schema, of));
    }
    for (const name of Object.keys(other)) {
      if (name in own) continue;
      if (direction === 'answer') note('breaking', name, 'the field is gone');
      else note('addition', name, 'a new field');
    }
    for (const name of listOf(whole.required).map(String))
      if (!listOf(part.required).includes(name) && (direction === 'request' || name in own))
        note('breaking', name, direction === 'request' ? 'the field is required now' : 'the field is not always there any more');
    const [rest, wanted] = [part.additionalProperties ?? true, whole.additionalProperties ?? true];
    // An object with fields and open beside them: what else may be in it is nobody's promise.
    const isOpen = rest === true && (direction === 'answer' || part.properties !== undefined);
    if (wanted === false && rest !== false && direction === 'request') note('breaking', '*', 'other fields are not taken any more');
    else if (wanted !== true && wanted !== false && !isOpen && rest !== false)
      findings.push(...this.#problems(direction, `${where}.*`, rest === true ? {} : rest, wanted));
    else if (wanted !== true && wanted !== false && direction === 'answer' && rest === true)
      note('breaking', '*', 'other fields may be anything now');
    return findings;
  }
}

/** A schema as those of which a value fits one: `anyOf`, `oneOf` and lists of types taken apart. */
function alternatives(schema: Json, of: (value: Json) => JsonObject): JsonObject[] {
  const { anyOf, oneOf, ...rest } = of(schema);
  const branches = [...listOf(anyOf), ...listOf(oneOf)];
  if (branches.length > 0) return branches.flatMap((branch) => alternatives({ ...rest, ...of(branch) }, of));
  const { const: only, ...simple } = rest;
  const one = only === undefined ? simple : { ...simple, enum: [only] };
  if (!Array.isArray(one.type)) return [one];
  return one.type.map((type) => ({ ...one, type }));
}

function typesOf({ type, enum: words }: JsonObject): string[] | undefined {
  if (type !== undefined) return [String(type)];
  if (words === undefined) return undefined;
  return [...new Set(listOf(words).map((word) => (word === null ? 'null' : Array.isArray(word) ? 'array' : typeof word)))];
}

function isNever({ not }: JsonObject): boolean {
  return not !== undefined && JSON.stringify(not) === '{}';
}

function refOf(schema: Json): string {
  const ref = typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? schema.$ref : undefined;
  return typeof ref === 'string' ? ref : '';
}

/** With what stands beside a reference. */
function resolved(schema: Json, document: JsonObject): JsonObject {
  const own: JsonObject = schema === true ? {} : schema === false ? { not: {} } : objectOf(schema);
  const { $ref, ...beside } = own;
  if (typeof $ref !== 'string') return own;
  let target: Json | undefined = document;
  for (const name of $ref.replace(/^#\//, '').split('/')) target = objectOf(target)[name.replaceAll('~1', '/').replaceAll('~0', '~')];
  if (target === undefined) throw new Error(`the document refers to ${$ref}, which it doesn’t have`);
  return { ...resolved(target, document), ...beside };
}

export function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

export function listOf(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}
