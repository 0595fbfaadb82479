// The DKIM key record (RFC 6376 section 3.6.1): what we ask to publish, and whether what is published lets our signatures verify.

import { parseTagList } from './tag-list.ts';

/** One string; whoever publishes it splits it at 255 bytes. `publicKey` is the SubjectPublicKeyInfo, base64. */
export function dkimRecordValue(publicKey: string): string {
  return `v=DKIM1; k=rsa; p=${publicKey}`;
}

/** Whether a TXT value is meant as a key record, right or wrong. */
export function isDkimRecord(value: string): boolean {
  const tags = parseTagList(value);
  return tags !== undefined && (/^DKIM1$/i.test(tags.get('v') ?? '') || tags.has('p'));
}

/**
 * undefined when a signature by `publicKey`'s private half verifies against this record, otherwise what is wrong with it. White space
 * and the order of tags don't matter, the key must be the very same.
 */
export function dkimRecordProblem(value: string, publicKey: string): string | undefined {
  const tags = parseTagList(value);
  if (tags === undefined) return 'This is not a DKIM key record: tags are written name=value, separated by semicolons, each once.';
  // RFC 6376 section 3.6.1: v= may be left out, but anything else than DKIM1 makes verifiers discard the record.
  if (tags.has('v') && tags.get('v') !== 'DKIM1') return 'The tag v= must be DKIM1.';
  if ((tags.get('k') ?? 'rsa').toLowerCase() !== 'rsa') return 'The tag k= must be rsa.';
  const hashes = list(tags.get('h'));
  if (hashes !== undefined && !hashes.includes('sha256')) return 'The tag h= leaves out sha256, which we sign with.';
  const services = list(tags.get('s'));
  if (services !== undefined && !services.includes('*') && !services.includes('email')) return 'The tag s= leaves out mail.';
  const published = tags.get('p')?.replace(/\s+/g, '');
  if (published === undefined) return 'The tag p= with the key is missing.';
  if (published === '') return 'The key is revoked: p= is empty.';
  if (published !== publicKey) {
    return publicKey.startsWith(published)
      ? 'The key is cut off: publish the whole value, split at 255 bytes if your provider asks for it.'
      : 'The key is another one.';
  }
  return undefined;
}

function list(value: string | undefined): string[] | undefined {
  return value?.split(':').map((item) => item.trim().toLowerCase());
}
