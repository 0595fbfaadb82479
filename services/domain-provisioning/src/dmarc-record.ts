// DMARC (RFC 7489): the record we suggest, and whether a published one is valid. Any policy counts: which one is the customer's choice.

import { parseTagList } from './tag-list.ts';

export const dmarcRecordValue = 'v=DMARC1; p=none';

/** Section 6.3: the version tag comes first and is written exactly so; anything else at the name is ignored by receivers. */
export function isDmarcRecord(value: string): boolean {
  return /^v\s*=\s*DMARC1\s*(?:;|$)/.test(value);
}

export function dmarcRecordProblem(value: string): string | undefined {
  const tags = parseTagList(value);
  if (tags === undefined) return 'This is not a DMARC record: tags are written name=value, separated by semicolons, each once.';
  const policy = tags.get('p');
  if (policy === undefined) return 'The tag p= with the policy is missing: none, quarantine or reject.';
  if (!/^(?:none|quarantine|reject)$/i.test(policy)) return 'The tag p= must be none, quarantine or reject.';
  return undefined;
}
