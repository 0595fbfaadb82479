// Sending domains as the API shows them, with what to publish.
import {
  type DkimRotation,
  type DnsRecord,
  type Domain,
  DomainStatus,
  RecordPurpose,
  RotationState,
} from '@maildoot/proto/maildoot/domain/v1/domain';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleTime } from './examples.ts';

const statuses = enumWords(DomainStatus, 'DOMAIN_STATUS_');
const purposes = enumWords(RecordPurpose, 'RECORD_PURPOSE_');
const rotationStates = enumWords(RotationState, 'ROTATION_STATE_');

const recordSchema = z
  .strictObject({
    type: z.string().meta({ examples: ['TXT'], description: '`TXT`, `CNAME` or `MX`.' }),
    name: z.string().meta({ description: 'Fully qualified, without the final dot.' }),
    value: z.string(),
    purpose: z.enum([...purposes.words, unknownWord]),
    required: z.boolean(),
    status: z.enum([...statuses.words, unknownWord]),
    seen: z.array(z.string()).meta({ description: 'What the name servers answered at the last look.' }),
    problem: z.string().nullable().meta({ description: 'Why it is not verified and what to do, or why the last look told nothing.' }),
  })
  .meta({ id: 'DnsRecord' });

const rotationSchema = z
  .strictObject({
    state: z.enum([...rotationStates.words, unknownWord]).meta({
      description:
        '`waiting`: the new record has not been seen, the old key signs. `changed_over`: the new key signs, leave the old record where it is. `finished`: the old record may go.',
    }),
    from: z.string().meta({ description: 'The selector that signed before.', examples: ['md1'] }),
    to: z.string().meta({ examples: ['md2'] }),
    requested_at: z.iso.datetime(),
    changed_over_at: z.iso.datetime().nullable(),
    old_record_needed_until: z.iso.datetime().nullable().meta({
      description: 'Until then mail that the old key signed may be on its way: its record has to stay.',
    }),
  })
  .meta({ id: 'DkimRotation' });

export const domainSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('domain'),
    domain: z.string(),
    status: z.enum([...statuses.words, unknownWord]),
    records: z.array(recordSchema),
    dkim: z.strictObject({
      selector: z.string().meta({ description: 'The selector that signs.', examples: ['md1'] }),
      rotation: rotationSchema.nullable().meta({ description: 'The change of keys that was asked for last.' }),
    }),
    created_at: z.iso.datetime(),
    checked_at: z.iso.datetime().nullable(),
    verified_at: z.iso.datetime().nullable(),
    next_check_at: z.iso.datetime().nullable().meta({ description: 'When its records are looked at without anybody asking.' }),
  })
  .meta({ id: 'Domain' });

export function domainJson(domain: Domain): z.input<typeof domainSchema> {
  return {
    id: domain.id,
    object: 'domain',
    domain: domain.domain,
    status: statuses.wordOf(domain.status),
    records: domain.records.map(recordJson),
    dkim: { selector: domain.signingSelector, rotation: domain.rotation === undefined ? null : rotationJson(domain.rotation, domain.id) },
    created_at: timeOf(domain.createdAt, domain.id),
    checked_at: timeJson(domain.checkedAt),
    verified_at: timeJson(domain.verifiedAt),
    next_check_at: timeJson(domain.nextCheckAt),
  };
}

function recordJson(record: DnsRecord): z.input<typeof recordSchema> {
  const { type, name, value, required, seen } = record;
  const problem = record.problem === '' ? null : record.problem;
  return { type, name, value, purpose: purposes.wordOf(record.purpose), required, status: statuses.wordOf(record.status), seen, problem };
}

function rotationJson(rotation: DkimRotation, id: string): z.input<typeof rotationSchema> {
  return {
    state: rotationStates.wordOf(rotation.state),
    from: rotation.fromSelector,
    to: rotation.toSelector,
    requested_at: timeOf(rotation.requestedAt, id),
    changed_over_at: timeJson(rotation.changedOverAt),
    old_record_needed_until: timeJson(rotation.oldRecordNeededUntil),
  };
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

function cname(label: string, value: string, purpose: string) {
  return { ...ownership, type: 'CNAME', name: `${label}.yourdomain.com`, value, purpose, required: false };
}

export const exampleDomain: z.input<typeof domainSchema> = {
  id: exampleIds.domain,
  object: 'domain',
  domain: 'yourdomain.com',
  status: 'pending',
  records: [
    ownership,
    { ...ownership, name: 'md1._domainkey.yourdomain.com', value: 'v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQ…', purpose: 'dkim' },
    {
      ...ownership,
      name: 'md2._domainkey.yourdomain.com',
      value: 'v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQ…',
      purpose: 'dkim',
      required: false,
    },
    { ...ownership, name: 'yourdomain.com', value: 'v=spf1 a:mail.example.net ~all', purpose: 'spf', required: false },
    { ...ownership, name: '_dmarc.yourdomain.com', value: 'v=DMARC1; p=none', purpose: 'dmarc', required: false },
    cname('md-bounces', 'bounces.example.net', 'return_path'),
    cname('md-links', 'links.example.net', 'tracking'),
    { ...ownership, type: 'MX', name: 'yourdomain.com', value: '10 mx.example.net', purpose: 'mx', required: false },
  ],
  dkim: { selector: 'md1', rotation: null },
  created_at: exampleTime,
  checked_at: null,
  verified_at: null,
  next_check_at: exampleTime,
};

export const exampleVerifiedDomain: z.input<typeof domainSchema> = {
  ...exampleDomain,
  status: 'verified',
  records: exampleDomain.records.map((record) => ({ ...record, status: 'verified', seen: [record.value] })),
  checked_at: exampleTime,
  verified_at: exampleTime,
};

export const exampleRotatingDomain: z.input<typeof domainSchema> = {
  ...exampleVerifiedDomain,
  dkim: {
    selector: 'md1',
    rotation: {
      state: 'waiting',
      from: 'md1',
      to: 'md2',
      requested_at: exampleTime,
      changed_over_at: null,
      old_record_needed_until: null,
    },
  },
};
