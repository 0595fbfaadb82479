// How the name of an attachment is written (RFC 2183, RFC 2231). The composer writes plain names well. Those that it leaves as a bare token or
// cuts into pieces although they hold quotes, apostrophes, asterisks or angle brackets are lost on readers that know RFC 2231 by half,
// Python's among them; percent-encoded from end to end they are read by all.

// A longer one is continued in a second parameter by the composer.
const longestPlainName = 74;
// With the parameter's name a line of 76.
const sectionCharacters = 56;
const charset = "utf-8''";

/**
 * The value of `Content-Disposition`, its lines folded, or undefined for a name that the composer writes well.
 *
 * `dispositionOf('attachment', "it's.pdf")` is `attachment; filename*=utf-8''it%27s.pdf`.
 */
export function dispositionOf(type: 'attachment' | 'inline', filename: string): string | undefined {
  if (filename.length <= longestPlainName && /^[\w .()+,&$@~-]+$/.test(filename)) return undefined;
  const sections = sectionsOf(filename);
  const parameters =
    sections.length === 1 ? [`filename*=${sections[0]}`] : sections.map((section, index) => `filename*${index}*=${section}`);
  return [type, ...parameters].join(';\r\n ');
}

/** Percent-encoded, in sections of which none ends within a character (RFC 2231 sections 3 and 4). */
function sectionsOf(filename: string): string[] {
  const sections = [charset];
  for (const character of filename.toWellFormed()) {
    const encoded = encodeURIComponent(character).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
    if (sections.at(-1)!.length + encoded.length > sectionCharacters) sections.push('');
    sections[sections.length - 1] += encoded;
  }
  return sections;
}
