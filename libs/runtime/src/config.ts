/**
 * Settings: each is described once (name, kind, default, unit, meaning) and everything else follows from the description:
 * the typed configuration, the error line for a bad value, the README table and the bad values that tests try.
 *
 * Nothing here reads `process.env`; `loadSettings` is given the environment, so that importing a service's config does nothing.
 */
import { isIP } from 'node:net';
import { parseCidr } from './networks.ts';

/** What a value is refused with: a text that follows the variable's name, as in `HTTP_PORT must be …`. */
class BadValue extends Error {}

/** One setting. `T` is the type of its value in the configuration. */
export interface Setting<T> {
  /** The environment variable. */
  readonly name: string;
  /** The kind with its limits, for people: `integer 0–65535`. */
  readonly type: string;
  /** The default as one would write it into the environment; undefined when there is none. */
  readonly defaultText: string | undefined;
  readonly unit: string | undefined;
  readonly meaning: string;
  /** True when the process does not start without it. */
  readonly required: boolean;
  /** True when its value must never be shown. */
  readonly secret: boolean;
  /** Values that must be refused, made from the kind and its limits. */
  readonly badExamples: readonly string[];
  /** The value when the variable isn't set. */
  readonly fallback: T | undefined;
  /** Turns text into the value, or throws with what is wrong. */
  readonly parse: (text: string) => T;
}

type Presence<T> = { default: T; optional?: never } | { default?: never; optional: true } | { default?: never; optional?: never };

/** What every kind takes: at most one of `default` and `optional: true`; with neither, the setting is required. */
type Options<T, P extends Presence<T>> = P & { unit?: string; meaning: string };

// In brackets: where P is left at its constraint (neither default nor optional given), a distributing conditional would add undefined.
type ValueOf<T, P> = [P] extends [{ optional: true }] ? T | undefined : T;

interface Kind<T> {
  type: string;
  parse: (text: string) => T;
  format: (value: T) => string;
  bad: readonly string[];
  secret?: boolean;
}

function make<T, P extends Presence<T>>(name: string, options: Options<T, P>, kind: Kind<T>): Setting<ValueOf<T, P>> {
  const fallback = options.default;
  return {
    name,
    type: kind.type,
    defaultText: fallback === undefined ? undefined : kind.format(fallback),
    unit: options.unit,
    meaning: options.meaning,
    required: fallback === undefined && options.optional !== true,
    secret: kind.secret === true,
    badExamples: kind.bad,
    fallback: fallback as ValueOf<T, P> | undefined,
    parse: kind.parse as (text: string) => ValueOf<T, P>,
  };
}

// ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Free text, at least one character. */
export function string<P extends Presence<string>>(
  name: string,
  options: Options<string, P> & { pattern?: RegExp; patternMeaning?: string; maxLength?: number },
): Setting<ValueOf<string, P>> {
  const { pattern, patternMeaning, maxLength = 4096 } = options;
  return make(name, options, {
    type: patternMeaning ?? 'text',
    parse: (text) => {
      if (text === '') throw new BadValue('must not be empty (leave it unset instead)');
      if (text.length > maxLength) throw new BadValue(`must have at most ${maxLength} characters`);
      if (hasControlCharacter(text)) throw new BadValue('must not contain control characters');
      if (pattern && !pattern.test(text)) throw new BadValue(`must be ${patternMeaning ?? `like ${pattern.source}`}`);
      return text;
    },
    format: (value) => value,
    bad: ['', 'x'.repeat(maxLength + 1), 'two\nlines'],
  });
}

/** A whole number. */
export function integer<P extends Presence<number>>(
  name: string,
  options: Options<number, P> & { min?: number; max?: number },
): Setting<ValueOf<number, P>> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options;
  return make(name, options, {
    type: `integer ${rangeText(min, max)}`,
    parse: (text) => parseInteger(text, min, max),
    format: (value) => String(value),
    bad: badIntegers(min, max),
  });
}

/** `true` or `false`. */
export function boolean<P extends Presence<boolean>>(name: string, options: Options<boolean, P>): Setting<ValueOf<boolean, P>> {
  return make(name, options, {
    type: 'true or false',
    parse: (text) => {
      if (text === 'true') return true;
      if (text === 'false') return false;
      throw new BadValue('must be true or false');
    },
    format: (value) => String(value),
    bad: ['', 'yes', '1', 'TRUE', 'no'],
  });
}

/** One word of a list. */
export function oneOf<const V extends string, P extends Presence<NoInfer<V>>>(
  name: string,
  options: Options<NoInfer<V>, P> & { values: readonly V[] },
): Setting<ValueOf<V, P>> {
  const { values } = options;
  const parse = (text: string): V => {
    const found = values.find((value) => value === text);
    if (found === undefined) throw new BadValue(`must be one of ${values.join(', ')}`);
    return found;
  };
  return make<V, P>(name, options, {
    type: values.join(' | '),
    parse,
    format: (value) => value,
    bad: ['', 'none-of-these', `${values[0]}x`, ` ${values[0]}`],
  });
}

/** An absolute URL with one of the protocols given (each with its colon: `https:`). */
export function url<P extends Presence<string>>(
  name: string,
  options: Options<string, P> & { protocols: readonly string[]; secret?: boolean },
): Setting<ValueOf<string, P>> {
  const { protocols } = options;
  const expected = `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`;
  return make(name, options, {
    type: `URL (${protocols.map((protocol) => protocol.replace(':', '')).join(', ')})`,
    parse: (text) => {
      if (!URL.canParse(text) || hasControlCharacter(text) || text !== text.trim()) throw new BadValue(expected);
      if (!protocols.includes(new URL(text).protocol)) throw new BadValue(expected);
      return text;
    },
    format: (value) => value,
    bad: ['', 'not a url', 'example.com', 'gopher://example.com/', '/only/a/path'],
    secret: options.secret === true,
  });
}

/** A DNS host name, as in `mail.example.com`; no trailing dot, no port. */
export function hostName<P extends Presence<string>>(name: string, options: Options<string, P>): Setting<ValueOf<string, P>> {
  return make(name, options, {
    type: 'host name',
    parse: (text) => {
      if (!isHostName(text)) throw new BadValue('must be a host name such as mail.example.com');
      return text.toLowerCase();
    },
    format: (value) => value,
    bad: ['', 'two words', '-a.example', 'a..example', 'example.com:25', `${'a'.repeat(64)}.example`],
  });
}

/**
 * `host:port`, `1.2.3.4:port` or `[::1]:port`. With `portZero`, port 0 (a free one) is allowed: for listening. With `unix`, the path of a
 * socket too: `unix:/run/maildoot/auth.sock`.
 */
export function hostPort<P extends Presence<string>>(
  name: string,
  options: Options<string, P> & { portZero?: boolean; unix?: boolean },
): Setting<ValueOf<string, P>> {
  const minPort = options.portZero ? 0 : 1;
  return make(name, options, {
    type: options.unix ? 'host:port or unix:/path' : 'host:port',
    parse: (text) => (options.unix && text.startsWith('unix:') ? parseUnixSocket(text) : parseHostPort(text, minPort)),
    format: (value) => value,
    bad: [
      '',
      'localhost',
      ':25',
      'localhost:',
      'localhost:65536',
      'localhost:-1',
      'localhost:http',
      'a b:25',
      '::1:25',
      'smtp://a:25',
    ].concat(
      options.portZero ? [] : ['localhost:0'],
      options.unix ? ['unix:', 'unix:relative.sock', `unix:/${'x'.repeat(MAX_SOCKET_PATH_BYTES)}`] : ['unix:/run/a.sock'],
    ),
  });
}

/** `host:port` separated by commas. With `ip`, hosts must be addresses; with `defaultPort`, the port may be left out. */
export function hostPortList<P extends Presence<readonly string[]>>(
  name: string,
  options: Options<readonly string[], P> & { ip?: boolean; defaultPort?: number; minItems?: number },
): Setting<ValueOf<readonly string[], P>> {
  const { ip = false, defaultPort, minItems = 0 } = options;
  const parseItem = (item: string): string => {
    const complete = defaultPort === undefined ? item : withPort(item, defaultPort);
    const parsed = parseHostPort(complete, 1);
    if (ip && isIP(splitHostPort(parsed).host) === 0) throw new BadValue('must hold IP addresses, not names');
    return parsed;
  };
  const bad = ['localhost:65536', 'a b:53', '127.0.0.1:53,,127.0.0.1:54', '127.0.0.1:x'];
  if (ip) bad.push('dns.example:53');
  if (defaultPort === undefined) bad.push('127.0.0.1');
  if (minItems > 0) bad.push('');
  return make<readonly string[], P>(name, options, {
    type: ip ? 'list of ip:port' : 'list of host:port',
    parse: (text) => parseList(text, parseItem, minItems),
    format: (value) => value.join(','),
    bad,
  });
}

/**
 * Where a service is reached: `host:port`, `unix:/path`, or several `ip:port` separated by commas, over which calls are spread. A list
 * has addresses of one family and no names: a name leads to all of its addresses by itself.
 */
export function peerAddress<P extends Presence<string>>(name: string, options: Options<string, P>): Setting<ValueOf<string, P>> {
  return make(name, options, {
    type: 'host:port, list of ip:port, or unix:/path',
    parse: (text) => {
      if (text.startsWith('unix:') && !text.includes(',')) return parseUnixSocket(text);
      if (!text.includes(',')) return parseHostPort(text, 1);
      const items = parseList(text, (item) => parseHostPort(item, 1));
      const families = new Set(items.map((item) => isIP(splitHostPort(item).host)));
      if (families.has(0) || families.size > 1) throw new BadValue('must hold IP addresses of one family when it is a list, not names');
      if (new Set(items).size !== items.length) throw new BadValue('has the same address twice');
      return items.join(',');
    },
    format: (value) => value,
    bad: [
      '',
      'localhost',
      'localhost:0',
      'a b:25',
      '127.0.0.1:1,',
      '127.0.0.1:1,,127.0.0.1:2',
      '127.0.0.1:1,localhost:2',
      '127.0.0.1:1,[::1]:2',
      '127.0.0.1:1,127.0.0.1:1',
      '127.0.0.1:1,unix:/run/a.sock',
      'unix:relative.sock',
      `unix:/${'x'.repeat(MAX_SOCKET_PATH_BYTES)}`,
    ],
  });
}

/** IP networks separated by commas: `10.0.0.0/8,fd00::/8,127.0.0.1`. An address alone means itself only. */
export function cidrList<P extends Presence<readonly string[]>>(
  name: string,
  options: Options<readonly string[], P>,
): Setting<ValueOf<readonly string[], P>> {
  return make<readonly string[], P>(name, options, {
    type: 'list of networks (CIDR)',
    parse: (text) =>
      parseList(text, (item) => {
        const network = parseCidr(item);
        if (!network) throw new BadValue(`must be networks such as 10.0.0.0/8 or fd00::/8 (${JSON.stringify(item)} is none)`);
        if (network.canonical !== undefined) {
          throw new BadValue(`has a network with bits behind its prefix: ${item}; write ${network.canonical}`);
        }
        return item;
      }),
    format: (value) => value.join(','),
    bad: ['10.0.0.0/33', 'localhost', '10.0.0.0/8,', '10.1.2.3/8', 'fd00::/129', '10.0.0/8', '300.1.1.1/8'],
  });
}

/** A secret text; its value is never shown. */
export function secret<P extends { optional: true } | { optional?: never }>(
  name: string,
  options: P & { meaning: string; unit?: string; minLength?: number },
): Setting<ValueOf<string, P>> {
  const { minLength = 1 } = options;
  return make(name, options as Options<string, P & Presence<string>>, {
    type: `secret, at least ${minLength} ${minLength === 1 ? 'character' : 'characters'}`,
    parse: (text) => {
      if (text.length < minLength) throw new BadValue(`must have at least ${minLength} characters`);
      if (hasControlCharacter(text) || text !== text.trim()) {
        throw new BadValue('must not contain control characters, or blanks at its ends');
      }
      return text;
    },
    format: () => '',
    bad: ['', 'x'.repeat(minLength - 1), `${'x'.repeat(minLength)}\n`],
    secret: true,
  }) as Setting<ValueOf<string, P>>;
}

/** Texts separated by commas. */
export function stringList<P extends Presence<readonly string[]>>(
  name: string,
  options: Options<readonly string[], P> & { pattern?: RegExp; patternMeaning?: string; minItems?: number },
): Setting<ValueOf<readonly string[], P>> {
  const { pattern, patternMeaning, minItems = 0 } = options;
  return make<readonly string[], P>(name, options, {
    type: `list of ${patternMeaning ?? 'texts'}`,
    parse: (text) =>
      parseList(
        text,
        (item) => {
          if (hasControlCharacter(item)) throw new BadValue('must not contain control characters');
          if (pattern && !pattern.test(item)) throw new BadValue(`must hold ${patternMeaning ?? `texts like ${pattern.source}`}`);
          return item;
        },
        minItems,
      ),
    format: (value) => value.join(','),
    bad: ['a,,b', ',', 'a\nb'].concat(minItems > 0 ? [''] : []),
  });
}

/** Durations separated by commas, whole numbers in the unit named: `60,300,900`. */
export function durationList<P extends Presence<readonly number[]>>(
  name: string,
  options: Options<readonly number[], P> & { unit: 'seconds' | 'milliseconds'; min?: number; max?: number; minItems?: number },
): Setting<ValueOf<readonly number[], P>> {
  const { unit, min = 0, max = 2 ** 31 - 1, minItems = 1 } = options;
  return make<readonly number[], P>(name, options, {
    type: `list of ${unit}, ${rangeText(min, max)}`,
    parse: (text) => parseList(text, (item) => parseInteger(item, min, max), minItems),
    format: (value) => value.join(','),
    bad: ['60,,300', '60,five', '1.5', `${max + 1}`, `60,${min - 1}`, '60 300', '5m'].concat(minItems > 0 ? [''] : []),
  });
}

/** A key for sealing what is stored: an id and 32 bytes. */
export interface SealKey {
  readonly id: string;
  readonly key: Buffer;
}

/** `id:base64[,id:base64]`, each key 32 bytes. The first seals, all open. */
export function sealKeys<P extends { optional: true } | { optional?: never }>(
  name: string,
  options: P & { meaning: string },
): Setting<ValueOf<readonly SealKey[], P>> {
  const good = Buffer.alloc(32, 7).toString('base64');
  return make(name, options as Options<readonly SealKey[], P & Presence<readonly SealKey[]>>, {
    type: 'secret: id:base64[,id:base64], 32 bytes each',
    parse: (text) => {
      const keys = parseList(text, parseSealKey, 1);
      if (new Set(keys.map((key) => key.id)).size !== keys.length) throw new BadValue('has the same key id twice');
      return keys;
    },
    format: () => '',
    bad: ['', good, `:${good}`, 'k1:', 'k1:AAAA', `k1:${good},k1:${good}`, `k 1:${good}`, `k1:${good},`, `k1:${good.replace('=', '!')}`],
    secret: true,
  }) as Setting<ValueOf<readonly SealKey[], P>>;
}

// ── a set of settings ────────────────────────────────────────────────────────────────────────────────────────────────────

// `unknown` in the parameter would refuse every concrete setting, `never` accepts all of them.
type AnySetting = Omit<Setting<unknown>, 'parse'> & { readonly parse: (text: string) => unknown };
export type Settings = Readonly<Record<string, AnySetting>>;

/** The configuration that a set of settings gives. */
export type ConfigOf<S extends Settings> = { readonly [K in keyof S]: ReturnType<S[K]['parse']> };

/** Names a set of settings. Two settings with one variable are a mistake of ours and throw. */
export function defineSettings<const S extends Settings>(settings: S): S {
  const seen = new Set<string>();
  for (const setting of Object.values(settings)) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(setting.name)) throw new TypeError(`${setting.name} is no name for an environment variable`);
    if (seen.has(setting.name)) throw new TypeError(`${setting.name} is described twice`);
    seen.add(setting.name);
  }
  return settings;
}

/** One variable and what is wrong with it. */
export interface SettingProblem {
  readonly name: string;
  readonly message: string;
}

/** Everything that is wrong with an environment, one line per variable, each beginning with its name. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly problems: readonly SettingProblem[];
  constructor(problems: readonly SettingProblem[]) {
    super(problems.map((problem) => `${problem.name} ${problem.message}`).join('\n'));
    this.problems = problems;
  }
}

/**
 * Reads the settings from an environment. All problems are reported at once: missing, bad, and names that begin with `MAILDOOT_`
 * but that nobody reads (most likely a typing error).
 */
export function loadSettings<S extends Settings>(settings: S, env: Readonly<Record<string, string | undefined>>): ConfigOf<S> {
  const problems: SettingProblem[] = [];
  const config: Record<string, unknown> = {};
  const known = new Set<string>();
  for (const [key, setting] of Object.entries(settings)) {
    known.add(setting.name);
    const text = env[setting.name];
    if (text === undefined) {
      if (setting.required) problems.push({ name: setting.name, message: `is required: ${setting.type}. ${setting.meaning}` });
      config[key] = setting.fallback;
      continue;
    }
    try {
      config[key] = setting.parse(text);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      problems.push({ name: setting.name, message: error.message + (setting.secret ? '' : `, not ${shown(text)}`) });
    }
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith('MAILDOOT_') || known.has(name) || env[name] === undefined) continue;
    const nearest = nearestName(name, known);
    problems.push({ name, message: `is not a setting${nearest ? `; did you mean ${nearest}?` : ''}` });
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return config as ConfigOf<S>;
}

/** One row of a settings table. `default` is `required`, `–` (optional) or the default as text. */
export interface SettingRow {
  readonly name: string;
  readonly type: string;
  readonly default: string;
  readonly unit: string;
  readonly meaning: string;
}

export function describeSettings(settings: Settings): SettingRow[] {
  return Object.values(settings).map((setting) => ({
    name: setting.name,
    type: setting.type,
    default: setting.required
      ? 'required'
      : setting.defaultText === undefined
        ? '–'
        : setting.defaultText === ''
          ? '(empty)'
          : setting.defaultText,
    unit: setting.unit ?? '',
    meaning: setting.meaning,
  }));
}

/** The same as a Markdown table, for README files; a check in CI compares it with what stands there. */
export function settingsTable(settings: Settings): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const lines = ['| setting | type | default | unit | meaning |', '| --- | --- | --- | --- | --- |'];
  for (const row of describeSettings(settings)) {
    const shownDefault =
      row.default === 'required' || row.default === '–' || row.default === '(empty)' ? row.default : `\`${row.default}\``;
    lines.push(`| \`${row.name}\` | ${cell(row.type)} | ${cell(shownDefault)} | ${cell(row.unit)} | ${cell(row.meaning)} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** `host:port` taken apart; IPv6 addresses lose their brackets. */
export function splitHostPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon);
  return { host: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(text.slice(colon + 1)) };
}

// ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

function parseInteger(text: string, min: number, max: number): number {
  const value = /^(0|-?[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < min || value > max) throw new BadValue(`must be a whole number ${rangeText(min, max)}`);
  return value;
}

function badIntegers(min: number, max: number): string[] {
  const bad = ['', 'abc', '1.5', '1e3', '0x10', ' 1', '007', `${min - 1}`, '99999999999999999999'];
  if (max < Number.MAX_SAFE_INTEGER) bad.push(`${max + 1}`);
  return bad;
}

function rangeText(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `≥ ${min}` : `${min}–${max}`;
}

function parseList<T>(text: string, parseItem: (item: string) => T, minItems = 0): T[] {
  if (text === '') {
    if (minItems > 0) throw new BadValue(`must have at least ${minItems} ${minItems === 1 ? 'item' : 'items'}`);
    return [];
  }
  const items = text.split(',').map((item) => item.replace(/^ +| +$/g, ''));
  if (items.includes('')) throw new BadValue('has an empty item between commas');
  if (items.length < minItems) throw new BadValue(`must have at least ${minItems} items`);
  return items.map(parseItem);
}

function parseHostPort(text: string, minPort: number): string {
  const expected = `must be host:port with a port ${minPort}–65535`;
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]/@\s]+):([0-9]{1,5})$/.exec(text);
  const host = match?.[1];
  const port = Number(match?.[2]);
  if (host === undefined || !(port >= minPort && port <= 65535)) throw new BadValue(expected);
  const valid = host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : isIP(host) === 4 || (isHostName(host) && !/^[0-9.]+$/.test(host));
  if (!valid) throw new BadValue(expected);
  return `${host}:${port}`;
}

// What Linux and macOS both have room for in sun_path, with the final NUL.
const MAX_SOCKET_PATH_BYTES = 103;

function parseUnixSocket(text: string): string {
  const path = text.slice('unix:'.length);
  if (!path.startsWith('/') || hasControlCharacter(path)) throw new BadValue('must be unix: and an absolute path');
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) throw new BadValue(`must have a path of at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  return text;
}

function withPort(item: string, port: number): string {
  if (isIP(item) === 6) return `[${item}]:${port}`;
  return /(^[^:]+$|\]$)/.test(item) ? `${item}:${port}` : item;
}

function parseSealKey(item: string): SealKey {
  const match = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(item);
  if (!match?.[1] || !match[2]) throw new BadValue('must be id:base64[,id:base64] with keys of 32 bytes (openssl rand -base64 32)');
  return { id: match[1], key: Buffer.from(match[2], 'base64') };
}

function isHostName(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || unit === 0x7f) return true;
  }
  return false;
}

/** A bad value in an error line: quoted, one line, never long; a password inside a URL is not shown. */
function shown(text: string): string {
  const safe = text.replace(/(\/\/[^/@\s:]*):[^/@\s]*@/g, '$1:…@');
  return JSON.stringify(safe.length > 80 ? `${safe.slice(0, 80)}…` : safe);
}

function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = 4;
  for (const candidate of known) {
    for (const variant of [candidate, `MAILDOOT_${candidate}`]) {
      const distance = editDistance(name, variant);
      if (distance < bestDistance) {
        bestDistance = distance;
        best = candidate;
      }
    }
  }
  return best;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
