// What a recipient did, as it is told outside.
import type { Engagement } from '@maildoot/proto/maildoot/messaging/v1/engagement';

export interface EngagementJson {
  /** Where the link leads; null but for clicks. */
  url: string | null;
  user_agent: string | null;
  /** A program did it, as far as can be told. */
  machine: boolean;
  /** What speaks for it. */
  machine_reason: string | null;
}

export function engagementJson({ url, userAgent, machine, machineReason }: Engagement): EngagementJson {
  return { url: url || null, user_agent: userAgent || null, machine, machine_reason: machineReason || null };
}
