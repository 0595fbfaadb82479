// Times as the API writes them: RFC 3339 in UTC.
import { type IdPrefix, idToUuid, uuidTime } from '@maildoot/runtime/ids';

export function timeJson(date: Date | undefined): string | null {
  return date === undefined ? null : date.toISOString();
}

/** A time that is always there: where a service left it out, the id of the thing knows it. */
export function timeOf(date: Date | undefined, id: string): string {
  if (date !== undefined) return date.toISOString();
  const uuid = idToUuid(id.slice(0, 3) as IdPrefix, id);
  return (uuid === undefined ? new Date(0) : uuidTime(uuid)).toISOString();
}
