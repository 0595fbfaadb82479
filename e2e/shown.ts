/**
 * What a page of the documentation shows, compared with what came. `…` stands for what differs from run to run: inside of a string or a line for
 * any characters of it, as a member of an object or an item of a list for any others, as a value for any value, as a line for any lines.
 */

const anything = Symbol('…');
/** A value as it is shown. */
type Shown = typeof anything | string | number | boolean | null | Shown[] | ShownObject;
interface ShownObject {
  members: Map<string, Shown>;
  /** Others may be there. */
  others: boolean;
}

/** What is wrong with what came; undefined when it is as shown. */
export function jsonDiffers(shown: string, came: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(came);
  } catch {
    return 'what came is not JSON';
  }
  return differs(parseShown(shown), value, '');
}

export function textDiffers(shown: string, came: string): string | undefined {
  const pattern = shown
    .trimEnd()
    .split('\n')
    .map((line) => (line.trim() === '…' ? '(?:[^\n]*\n)*?' : `${line.trimEnd().split('…').map(literally).join('[^\n]*')}[ \t\r]*\n`))
    .join('');
  return new RegExp(`^${pattern}$`).test(`${came.trimEnd()}\n`) ? undefined : 'what came is not what the page shows';
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function differs(shown: Shown, came: unknown, path: string): string | undefined {
  const here = path === '' ? 'the value' : path;
  if (shown === anything) return undefined;
  if (typeof shown === 'string') {
    const fits = typeof came === 'string' && new RegExp(`^${shown.split('…').map(literally).join('.*')}$`, 's').test(came);
    return fits ? undefined : `${here} is ${JSON.stringify(came)}, not ${JSON.stringify(shown)}`;
  }
  if (Array.isArray(shown)) {
    if (!Array.isArray(came)) return `${here} is no list`;
    return listDiffers(shown, came, path);
  }
  if (typeof shown === 'object' && shown !== null) {
    if (typeof came !== 'object' || came === null || Array.isArray(came)) return `${here} is no object`;
    return objectDiffers(shown, came as Record<string, unknown>, path);
  }
  return shown === came ? undefined : `${here} is ${JSON.stringify(came)}, not ${JSON.stringify(shown)}`;
}

function objectDiffers({ members, others }: ShownObject, came: Record<string, unknown>, path: string): string | undefined {
  for (const [name, value] of members) {
    if (!Object.hasOwn(came, name)) return `${path}.${name} is missing`;
    const problem = differs(value, came[name], `${path}.${name}`);
    if (problem !== undefined) return problem;
  }
  const more = Object.keys(came).find((name) => !members.has(name));
  return others || more === undefined ? undefined : `${path}.${more} came and is not shown`;
}

/** Items in their order; where `…` stands there may be any. */
function listDiffers(shown: readonly Shown[], came: readonly unknown[], path: string): string | undefined {
  const [first, ...rest] = shown;
  if (first === undefined) return came.length === 0 ? undefined : `${path} has ${came.length} more than is shown`;
  if (first === anything) {
    let problem: string | undefined;
    for (let skipped = 0; skipped <= came.length; skipped++) {
      const found = listDiffers(rest, came.slice(skipped), path);
      if (found === undefined) return undefined;
      problem ??= found;
    }
    return problem;
  }
  if (came.length === 0) return `${path} has fewer than are shown`;
  return differs(first, came[0], `${path}[]`) ?? listDiffers(rest, came.slice(1), path);
}

/** JSON in which `…` may stand for a value, a member or an item. @throws SyntaxError */
function parseShown(text: string): Shown {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:…]|[^\s{}[\],:…"]+/g) ?? [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  function expect(token: string): void {
    const found = next();
    if (found !== token) throw new SyntaxError(`the page shows no JSON: ${found} where ${token} should be`);
  }
  function list<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (tokens[at] !== end) {
      if (items.length > 0) expect(',');
      items.push(item());
    }
    expect(end);
    return items;
  }
  function value(): Shown {
    const token = next();
    if (token === '…') return anything;
    if (token === '[') return list(']', value);
    if (token !== '{') return JSON.parse(token) as Shown;
    const members = list('}', (): [string, Shown] | typeof anything => {
      const name = next();
      if (name === '…') return anything;
      expect(':');
      return [JSON.parse(name) as string, value()];
    });
    return { members: new Map(members.filter((member) => member !== anything)), others: members.includes(anything) };
  }
  const shown = value();
  if (at < tokens.length) throw new SyntaxError(`the page shows more than one JSON value: ${tokens[at]}`);
  return shown;
}
