// Sending domains as the API shows them, with what to publish.
import { type DnsRecord, type Domain, DomainStatus, RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import { z } from 'zod';
import { enumWords, unknownWord } from './enum-words.ts';
import { exampleIds, exampleTime } from './examples.ts';
import { timeJson, timeOf } from './time-json.ts';

const statuses = enumWords(DomainStatus, 'DOMAIN_STATUS_');
const purposes = enumWords(RecordPurpose, 'RECORD_PURPOSE_');

const recordSchema = z
  .strictObject({
    type: z.string().meta({ examples: ['TXT'] }),
    name: z.string().meta({ description: 'Fully qualified, without the final dot.' }),
    value: z.string(),
    purpose: z.enum([...purposes.words, unknownWord]),
    required: z.boolean(),
    status: z.enum([...statuses.words, unknownWord]),
    seen: z.array(z.string()).meta({ description: 'What the name servers answered at the last look.' }),
    problem: z.string().nullable().meta({ description: 'Why it is not verified and what to do, or why the last look told nothing.' }),
  })
  .meta({ id: 'DnsRecord' });

export const domainSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('domain'),
    domain: z.string(),
    status: z.enum([...statuses.words, unknownWord]),
    records: z.array(recordSchema),
    created_at: z.iso.datetime(),
    checked_at: z.iso.datetime().nullable(),
    verified_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Domain' });

export function domainJson(domain: Domain): z.input<typeof domainSchema> {
  return {
    id: domain.id,
    object: 'domain',
    domain: domain.domain,
    status: statuses.wordOf(domain.status),
    records: domain.records.map(recordJson),
    created_at: timeOf(domain.createdAt, domain.id),
    checked_at: timeJson(domain.checkedAt),
    verified_at: timeJson(domain.verifiedAt),
  };
}

function recordJson(record: DnsRecord): z.input<typeof recordSchema> {
  const { type, name, value, required, seen } = record;
  const problem = record.problem === '' ? null : record.problem;
  return { type, name, value, purpose: purposes.wordOf(record.purpose), required, status: statuses.wordOf(record.status), seen, problem };
}

const ownership = {
  type: 'TXT',
  name: '_maildoot.yourdomain.com',
  value: 'maildoot-verification=3kq9v0d1c2m4',
  purpose: 'ownership',
  required: true,
  status: 'pending',
  seen: [],
  problem: null,
};

export const exampleDomain: z.input<typeof domainSchema> = {
  id: exampleIds.domain,
  object: 'domain',
  domain: 'yourdomain.com',
  status: 'pending',
  records: [
    ownership,
    { ...ownership, name: 'md1._domainkey.yourdomain.com', value: 'v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQ…', purpose: 'dkim' },
    { ...ownership, name: 'yourdomain.com', value: 'v=spf1 a:mail.example.net ~all', purpose: 'spf', required: false },
    { ...ownership, name: '_dmarc.yourdomain.com', value: 'v=DMARC1; p=none', purpose: 'dmarc', required: false },
  ],
  created_at: exampleTime,
  checked_at: null,
  verified_at: null,
};

export const exampleVerifiedDomain: z.input<typeof domainSchema> = {
  ...exampleDomain,
  status: 'verified',
  records: exampleDomain.records.map((record) => ({ ...record, status: 'verified', seen: [record.value] })),
  checked_at: exampleTime,
  verified_at: exampleTime,
};
