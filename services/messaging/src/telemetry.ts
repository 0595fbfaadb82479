// Everything this service reports: one function per business event, which counts it (few label values) and writes the log line where one
// helps. Addresses, subjects and content appear in neither.
import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram } from '@maildoot/runtime/telemetry';
import type { Recorded } from './record-outcomes.ts';

const service = 'messaging';

const accepted = counter(service, 'maildoot_messages_accepted_total', { description: 'Messages accepted, durable' });
const refused = counter(service, 'maildoot_messages_refused_total', { description: 'Messages refused, by error code' });
const replayed = counter(service, 'maildoot_messages_replayed_total', { description: 'Requests answered from an idempotency record' });
const lookedUp = counter(service, 'maildoot_messages_commit_unknown_total', {
  description: 'Commits whose end was not seen, by what was found afterwards',
});
const acceptDuration = histogram(service, 'maildoot_messages_accept_seconds', {
  description: 'From the call to the commit, per request that was accepted',
  unit: 's',
  advice: { explicitBucketBoundaries: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] },
});
const outcomes = counter(service, 'maildoot_messages_outcomes_total', { description: 'Outcomes told by delivery, by what they did here' });
const cancelled = counter(service, 'maildoot_messages_cancelled_recipients_total', { description: 'Recipients cancelled by a caller' });
const fed = counter(service, 'maildoot_messages_feed_events_total', { description: 'Events that got their place in a feed' });
const jobFailures = counter(service, 'maildoot_messages_job_failures_total', {
  description: 'Failures of a job, which is tried again. Alarm on partitions',
});
const partitionsKept = counter(service, 'maildoot_messages_partitions_kept_total', {
  description: 'Times a day past its retention was kept for a recipient that is still open',
});

export interface Telemetry {
  accepted(messages: number, durationMs: number): void;
  refused(code: string): void;
  replayed(): void;
  commitUnknown(found: 'kept' | 'not_kept' | 'not_known', messages: number): void;
  outcomes(results: readonly Recorded[]): void;
  cancelled(recipients: number): void;
  feedGrown(events: number): void;
  idempotencyExpired(records: number): void;
  partitionKept(partition: string): void;
  jobFailed(job: string, error: unknown): void;
}

export function createTelemetry(logger: Logger): Telemetry {
  return {
    accepted(messages, durationMs) {
      accepted.add(messages);
      acceptDuration.record(durationMs / 1000);
    },
    refused: (code) => refused.add(1, { code }),
    replayed: () => replayed.add(1),
    commitUnknown(found, messages) {
      lookedUp.add(messages, { found });
      logger.warn({ found, messages }, 'accept: the connection was lost during COMMIT; looked the messages up');
    },
    outcomes(results) {
      const counts = new Map<Recorded, number>();
      for (const result of results) counts.set(result, (counts.get(result) ?? 0) + 1);
      for (const [result, count] of counts) {
        outcomes.add(count, { result });
        if (result === 'unknown_message' || result === 'unknown_recipient')
          logger.info({ result, count }, 'outcomes: nothing here to record them on');
        if (result === 'foreign_message') logger.error({ result, count }, 'outcomes: they name another tenant than the message has');
      }
    },
    cancelled: (recipients) => cancelled.add(recipients),
    feedGrown: (events) => fed.add(events),
    idempotencyExpired: (records) => logger.debug({ records }, 'idempotency: records expired'),
    partitionKept(partition) {
      partitionsKept.add(1);
      logger.warn({ partition }, 'partitions: rows past their retention are kept, a recipient of that day is still open');
    },
    jobFailed(job, error) {
      jobFailures.add(1, { job });
      logger.error({ err: error, job }, 'job: failed, is tried again');
    },
  };
}
