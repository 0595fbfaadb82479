// The events there are, and the patterns by which callbacks choose among them.

export const eventTypes = [
  'message.accepted',
  'message.scheduled',
  'message.queued',
  'message.sent_attempt',
  'message.deferred',
  'message.delivered',
  'message.bounced',
  'message.failed',
  'message.suppressed',
  'message.cancelled',
  'message.complained',
  'message.opened',
  'message.clicked',
  'message.unsubscribed',
  'domain.verified',
  'domain.drifted',
  'callback.disabled',
] as const;

export type EventType = (typeof eventTypes)[number];

/** A try-out that a callback's owner asks for. It is in nobody's feed, and no pattern keeps it out. */
export const testEventType = 'callback.test';

/** Whether a pattern can ever choose something: a name, a prefix as `message.*`, or `*`. */
export function isEventPattern(pattern: string): boolean {
  return eventTypes.some((type) => matches(pattern, type));
}

/** Whether one of the patterns chooses this type; no patterns choose all. */
export function chooses(patterns: readonly string[], type: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matches(pattern, type));
}

function matches(pattern: string, type: string): boolean {
  if (pattern === '*') return true;
  return pattern.endsWith('.*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}
