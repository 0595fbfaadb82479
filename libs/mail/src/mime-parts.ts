// The parts of a MIME message (RFC 2045, 2046), as much of it as reading reports needs: headers, boundaries, transfer encodings. What comes
// is somebody else's and may be broken or cut off; nothing here throws, and depth and number have limits.

/** Header fields by name in lower case, unfolded; of several of a name the first. */
export type Fields = ReadonlyMap<string, string>;

export interface MimePart {
  headers: Fields;
  /** `text/plain` where none is given (RFC 2045 section 5.2). */
  type: string;
  /** Of Content-Type: `report-type`, `boundary`. */
  parameters: ReadonlyMap<string, string>;
  /** Without its transfer encoding. */
  body: string;
  /** Of a multipart. */
  parts: MimePart[];
}

const maxDepth = 5;
const maxParts = 50;

/** Bytes are read as Latin-1, so that each is a character: what reports are made of is ASCII. */
export function parseMime(raw: Buffer): MimePart {
  return part(raw.toString('latin1'), 0);
}

/** A block of fields up to the first empty line, and what comes after it. */
export function parseFields(text: string): { fields: Fields; rest: string } {
  const end = /\r?\n\r?\n/.exec(text);
  // A part without headers begins with the empty line.
  const startsEmpty = /^\r?\n/.exec(text);
  if (startsEmpty !== null) return { fields: new Map(), rest: text.slice(startsEmpty[0].length) };
  const head = end === null ? text : text.slice(0, end.index);
  const fields = new Map<string, string>();
  for (const line of head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return { fields, rest: end === null ? '' : text.slice(end.index + end[0].length) };
}

/** The first part, the message itself included, of one of these types. */
export function findPart(message: MimePart, types: readonly string[]): MimePart | undefined {
  if (types.includes(message.type)) return message;
  for (const inner of message.parts) {
    const found = findPart(inner, types);
    if (found !== undefined) return found;
  }
  return undefined;
}

function part(text: string, depth: number): MimePart {
  const { fields, rest } = parseFields(text);
  const { type, parameters } = contentType(fields.get('content-type') ?? '');
  const body = decoded(rest, fields.get('content-transfer-encoding') ?? '');
  const boundary = parameters.get('boundary');
  const parts =
    type.startsWith('multipart/') && boundary !== undefined && boundary !== '' && depth < maxDepth
      ? split(rest, boundary).map((inner) => part(inner, depth + 1))
      : [];
  return { headers: fields, type, parameters, body, parts };
}

function contentType(value: string): { type: string; parameters: Map<string, string> } {
  const [type = ''] = value.split(';', 1);
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of value.matchAll(/;\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/g))
    parameters.set(name.toLowerCase(), quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1'));
  const known = type.trim().toLowerCase();
  return { type: /^[\w.+-]+\/[\w.+-]+$/.test(known) ? known : 'text/plain', parameters };
}

/** RFC 2046 section 5.1.1. The last boundary may be missing: the message was cut. */
function split(text: string, boundary: string): string[] {
  const parts: string[] = [];
  let from: number | undefined;
  const mark = `--${boundary}`;
  for (let at = text.indexOf(mark); at >= 0 && parts.length < maxParts; at = text.indexOf(mark, at + mark.length)) {
    if (at > 0 && text[at - 1] !== '\n') continue;
    const after = text.slice(at + mark.length, at + mark.length + 2);
    // A longer boundary that begins like this one.
    if (!/^(?:--|[ \t\r\n]|$)/.test(after)) continue;
    if (from !== undefined) parts.push(text.slice(from, at).replace(/\r?\n$/, ''));
    const lineEnd = text.indexOf('\n', at);
    if (after.startsWith('--') || lineEnd < 0) return parts;
    from = lineEnd + 1;
  }
  if (from !== undefined && parts.length < maxParts) parts.push(text.slice(from));
  return parts;
}

function decoded(body: string, encoding: string): string {
  switch (encoding.trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(body, 'base64').toString('latin1');
    case 'quoted-printable':
      return (
        body
          // Only from where blanks begin: tried from each of them, a long run would cost its square.
          .replace(/(?<![ \t])[ \t]*=\r?\n/g, '')
          .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      );
    default:
      return body;
  }
}
