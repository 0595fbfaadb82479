// Names that people give to keys and tenants.

import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';

const maxCharacters = 100;
/** Line breaks and other invisible steering characters: a name is shown in lists and on pages. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** The name without white space around it; what is wrong with it goes to `issues`. */
export function checkName(text: string, issues: Issue[]): string {
  const name = text.trim();
  if (name === '') issues.push({ path: 'name', code: 'required', message: 'Give a name.' });
  else if ([...name].length > maxCharacters)
    issues.push({ path: 'name', code: 'too_long', message: `A name has at most ${maxCharacters} characters.` });
  else if (unprintable.test(name)) {
    issues.push({ path: 'name', code: 'invalid_characters', message: 'A name has no line breaks or other control characters.' });
  }
  return name;
}
