// Puts the records that the API asks for into the test DNS, as a customer would at their DNS provider.
import type { DnsServer, ZoneRecords } from './dns.ts';

/** A record as `POST /v1/user-settings/domains` lists it. */
export interface RecordToPublish {
  type: string;
  /** Fully qualified. */
  name: string;
  value: string;
}

/** Makes `domain` a zone with exactly these records. */
export function publish(dns: DnsServer, domain: string, records: readonly RecordToPublish[]): void {
  const names: Record<string, ZoneRecords> = {};
  for (const { type, name, value } of records) {
    const relative = name === domain ? '@' : name.slice(0, -(domain.length + 1));
    names[relative] ??= {};
    const at = names[relative];
    if (type === 'TXT') at.TXT = [...(at.TXT ?? []), value];
    else if (type === 'CNAME') at.CNAME = value;
    else if (type === 'MX') {
      const [preference = '', exchange = ''] = value.split(' ');
      at.MX = [...(at.MX ?? []), { preference: Number(preference), exchange }];
    } else throw new Error(`${name}: the test DNS can't publish ${type} records yet`);
  }
  dns.setZone(domain, names);
}
