// What a template's names and sources must be, before anybody parses them.
import type { Issue } from '@maildoot/rpc/errors';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';
import { parts, type Source } from './source.ts';
import type { Reference } from './store.ts';

const maxNameChars = 255;
const maxAliasChars = 100;
/** Of the source of a subject; what comes of it is shorter (engine.ts). */
const maxSubjectSourceChars = 4096;
const maxSourceChars = 512 * 1024;
export const maxVariablesBytes = 256 * 1024;

const alias = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** An id or an alias. What can be neither names nothing. */
export function referenceOf(text: string): Reference | undefined {
  const id = idToUuid('tpl', text);
  if (id !== undefined) return { id };
  return isAlias(text) ? { alias: text } : undefined;
}

/** An alias never looks like an id: one of the two would be in the way of the other. */
function isAlias(text: string): boolean {
  return text.length <= maxAliasChars && alias.test(text) && !text.startsWith('tpl_');
}

/** @throws RpcError VALIDATION_ERROR with all that is wrong */
export function refuseBadNames({ name, alias: given }: { name: string | undefined; alias: string | undefined }): void {
  const issues: Issue[] = [];
  if (name !== undefined && (name.trim() === '' || name.length > maxNameChars || /[\p{Cc}\p{Cs}]/u.test(name)))
    issues.push({ path: 'name', code: 'invalid_name', message: `A name has 1 to ${maxNameChars} characters and no control characters.` });
  if (given !== undefined && given !== '' && !isAlias(given)) {
    const message = `An alias has at most ${maxAliasChars} letters, digits, dots, hyphens and underscores, and doesn’t begin with tpl_.`;
    issues.push({ path: 'alias', code: 'invalid_alias', message });
  }
  refuse(issues);
}

/** @throws RpcError VALIDATION_ERROR with all that is wrong */
export function refuseBadSource(source: Source): void {
  const issues: Issue[] = [];
  for (const part of parts) {
    const most = part === 'subject' ? maxSubjectSourceChars : maxSourceChars;
    if (source[part].length > most) issues.push({ path: part, code: 'too_long', message: `This has at most ${most} characters.` });
    if (source[part].includes('\0')) issues.push({ path: part, code: 'control_character', message: 'The character NUL is not allowed.' });
  }
  if (source.html === '' && source.text === '')
    issues.push({ path: 'html', code: 'content_required', message: 'Give html or text, or both.' });
  refuse(issues);
}

function refuse(issues: Issue[]): void {
  if (issues.length > 0) throw errors.VALIDATION_ERROR({ message: 'The template is not valid; see the issues.', issues });
}
