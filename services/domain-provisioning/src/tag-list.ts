// Tag lists as DKIM and DMARC write them: `v=DKIM1; k=rsa; p=MIIB…` (RFC 6376 section 3.2).

/**
 * The tags with their values, white space around both dropped. undefined when the text isn't a tag list: a part without `=`, a name
 * with other characters, or a tag twice (RFC 6376 section 3.2: such a list is invalid as a whole, not the later or the earlier one right).
 */
export function parseTagList(text: string): Map<string, string> | undefined {
  const tags = new Map<string, string>();
  const parts = text.split(';');
  for (const [index, part] of parts.entries()) {
    const trimmed = part.trim();
    if (trimmed === '' && index === parts.length - 1) continue;
    const equals = trimmed.indexOf('=');
    const name = trimmed.slice(0, equals).trim();
    if (equals < 0 || !/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || tags.has(name)) return undefined;
    tags.set(name, trimmed.slice(equals + 1).trim());
  }
  return tags.size === 0 ? undefined : tags;
}
