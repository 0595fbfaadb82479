// Everything this service reports: one function per business event, which counts it (few label values) and writes the log line where one
// helps. Addresses, subjects and content appear in neither.
import { CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram } from '@maildoot/runtime/telemetry';
import type { Recorded } from './record-outcomes.ts';
import type { ReportRecorded } from './record-reports.ts';

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
const reports = counter(service, 'maildoot_messages_reports_total', { description: 'Reports that came back, by what they did here' });
const cancelled = counter(service, 'maildoot_messages_cancelled_recipients_total', { description: 'Recipients cancelled by a caller' });
const engagementLost = counter(service, 'maildoot_messages_engagement_lost_total', {
  description: 'Openings and clicks that were not recorded',
});
const rescheduled = counter(service, 'maildoot_messages_rescheduled_recipients_total', { description: 'Recipients given another time' });
const fed = counter(service, 'maildoot_messages_feed_events_total', { description: 'Events that got their place in a feed' });
const callbackAttempts = counter(service, 'maildoot_callbacks_attempts_total', {
  description: 'Attempts to tell callbacks of events, by outcome',
});
const callbackDuration = histogram(service, 'maildoot_callbacks_attempt_seconds', {
  description: 'How long attempts took, whatever came of them',
  unit: 's',
  advice: { explicitBucketBoundaries: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15] },
});
const callbacksDisabled = counter(service, 'maildoot_callbacks_disabled_total', { description: 'Callbacks disabled, by reason' });
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
  reports(results: readonly ReportRecorded[]): void;
  cancelled(recipients: number): void;
  feedGrown(events: number): void;
  engagementLost(count: number): void;
  rescheduled(recipients: number): void;
  idempotencyExpired(records: number): void;
  partitionKept(partition: string): void;
  callbackAttempted(outcome: number, durationMs: number): void;
  callbackDisabled(reason: 'gone' | 'failing'): void;
  /** Attempts of a process that died are made again. */
  callbacksFreed(rows: number): void;
  /** This process was taken for dead. */
  callbackWorkerLost(): void;
  noticeWaits(error: unknown): void;
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
    reports(results) {
      for (const [result, of] of Map.groupBy(results, (one) => one)) {
        reports.add(of.length, { result });
        if (result === 'unknown') logger.info({ count: of.length }, 'reports: nothing here to record them on');
      }
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
    engagementLost: (count) => engagementLost.add(count),
    rescheduled: (recipients) => rescheduled.add(recipients),
    idempotencyExpired: (records) => logger.debug({ records }, 'idempotency: records expired'),
    partitionKept(partition) {
      partitionsKept.add(1);
      logger.warn({ partition }, 'partitions: rows past their retention are kept, a recipient of that day is still open');
    },
    callbackAttempted(outcome, durationMs) {
      callbackAttempts.add(1, { outcome: callbackOutcomeName(outcome) });
      callbackDuration.record(durationMs / 1000);
    },
    callbackDisabled(reason) {
      callbacksDisabled.add(1, { reason });
      logger.info({ reason }, 'callbacks: one was disabled');
    },
    callbacksFreed: (rows) => logger.warn({ rows }, 'callbacks: a process ended in the middle of attempts, which are made again'),
    callbackWorkerLost: () => logger.warn('callbacks: this process was silent for so long that others took over what it had claimed'),
    noticeWaits: (error) => logger.warn({ err: error }, 'callbacks: a notice could not be sent yet'),
    jobFailed(job, error) {
      jobFailures.add(1, { job });
      logger.error({ err: error, job }, 'job: failed, is tried again');
    },
  };
}

function callbackOutcomeName(outcome: number): string {
  const name = Object.entries(CallbackOutcome).find(([, value]) => value === outcome)?.[0] ?? 'unknown';
  return name.replace('CALLBACK_OUTCOME_', '').toLowerCase();
}
