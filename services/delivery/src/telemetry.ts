// Every counter, span and log line of delivery.
import type { AttemptRecordedEvent } from '@maildoot/proto/maildoot/delivery/v1/events';
import { BounceClass, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import type { Logger } from '@maildoot/runtime/logger';
import { contextFrom, counter, histogram, observableGauge, tracer } from '@maildoot/runtime/telemetry';
import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Recorded } from './store/attempt.ts';
import type { DueRow } from './store/due.ts';

const service = 'delivery';

const enqueuedRows = counter(service, 'maildoot_delivery_enqueued_total', { description: 'Recipients put into the queue' });
const claimedRows = counter(service, 'maildoot_delivery_claimed_total', { description: 'Recipients taken for an attempt' });
const attempts = counter(service, 'maildoot_delivery_attempts_total', {
  description: 'Recorded ends of attempts, by outcome and whose fault a failure was',
});
const lateEnds = counter(service, 'maildoot_delivery_late_outcomes_total', {
  description: 'Outcomes of attempts that others had taken over. Each may be a duplicate',
});
const interruptedRows = counter(service, 'maildoot_delivery_interrupted_total', {
  description: 'Attempts whose pod died. Each may be a duplicate',
});
const cancelledRows = counter(service, 'maildoot_delivery_cancelled_total', { description: 'Recipients that were stopped' });
const sessionsOpened = counter(service, 'maildoot_delivery_sessions_total', { description: 'SMTP sessions opened, by result' });
const capturedMails = counter(service, 'maildoot_delivery_captured_total', { description: 'Mails in the built-in inbox' });
const failures = counter(service, 'maildoot_delivery_failures_total', {
  description: 'What went wrong on our side, by what was being done',
});
const waits = histogram(service, 'maildoot_delivery_wait_seconds', {
  description: 'From due to claimed',
  unit: 's',
  advice: { explicitBucketBoundaries: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600] },
});

export interface Telemetry {
  /** Shows these when metrics are read, until it is disposed of. */
  watch(gauges: { unrecorded(): number; held(): number }): Disposable;
  enqueued(rows: number): void;
  claimed(rows: readonly DueRow[]): void;
  recorded(event: AttemptRecordedEvent, recorded: Recorded): void;
  interrupted(rows: readonly DueRow[]): void;
  cancelled(rows: number): void;
  session(result: 'opened' | 'failed' | 'reused'): void;
  captured(): void;
  failed(doing: string, error: unknown, fields?: Record<string, unknown>): void;
}

export function createTelemetry(logger: Logger): Telemetry {
  return {
    enqueued: (rows) => enqueuedRows.add(rows),
    claimed(rows) {
      claimedRows.add(rows.length);
      for (const row of rows) waits.record(Math.max(0, row.claimedAt.getTime() - row.dueAt.getTime()) / 1000);
    },
    recorded(event, recorded) {
      attempts.add(1, { outcome: outcomeName(event.outcome), class: className(event.bounce?.class) });
      const fields = {
        message: event.messageId,
        recipient: event.recipientNumber,
        attempt: event.attempt,
        outcome: outcomeName(event.outcome),
        class: className(event.bounce?.class),
        host: event.session?.host,
        code: event.session?.replyCode,
        enhanced: event.session?.enhancedCode,
      };
      if (recorded === 'late') {
        lateEnds.add(1);
        logger.warn(fields, 'delivery: an outcome came after others had taken the recipient over; it may get the message twice');
      } else {
        logger.debug(fields, 'delivery: an attempt was recorded');
      }
    },
    interrupted(rows) {
      interruptedRows.add(rows.length);
      logger.warn({ rows: rows.length }, 'delivery: freed the recipients of a pod that died; their attempts may be made twice');
    },
    cancelled: (rows) => cancelledRows.add(rows),
    session: (result) => sessionsOpened.add(1, { result }),
    captured: () => capturedMails.add(1),
    failed(doing, error, fields = {}) {
      failures.add(1, { doing });
      logger.warn({ err: error, doing, ...fields }, 'delivery: something failed and is tried again');
    },
    watch(gauges) {
      const watched = [
        observableGauge(service, 'maildoot_delivery_unrecorded', (result) => result.observe(gauges.unrecorded()), {
          description: 'Recipients handed over whose outcome is not on record',
        }),
        observableGauge(service, 'maildoot_delivery_held', (result) => result.observe(gauges.held()), {
          description: 'Recipients that this pod holds',
        }),
      ];
      return {
        [Symbol.dispose]() {
          for (const gauge of watched) gauge[Symbol.dispose]();
        },
      };
    },
  };
}

/** The span of one attempt for one recipient, below the consumer span that enqueued it. */
export function attemptSpan(row: DueRow): Span {
  const attributes = {
    'maildoot.message.id': row.messageId,
    'maildoot.recipient.number': row.recipientNumber,
    'maildoot.attempt': row.attempt,
  };
  return tracer(service).startSpan('deliver', { kind: SpanKind.INTERNAL, attributes }, contextFrom(row.traceparent));
}

/** The span of one transaction on the wire. It has one parent; the other recipients' attempts are linked. */
export function smtpSpan(host: string, attemptsMade: readonly Span[]): Span {
  const [parent, ...others] = attemptsMade;
  const options = {
    kind: SpanKind.CLIENT,
    attributes: { 'server.address': host },
    links: others.map((span) => ({ context: span.spanContext() })),
  };
  return parent === undefined
    ? tracer(service).startSpan('smtp', options)
    : tracer(service).startSpan('smtp', options, trace.setSpan(contextFrom(undefined), parent));
}

export function endAttemptSpan(span: Span, outcome: Outcome): void {
  span.setAttribute('maildoot.outcome', outcomeName(outcome));
  if (outcome !== Outcome.OUTCOME_DELIVERED) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

function outcomeName(outcome: Outcome): string {
  return nameIn(Outcome, outcome, 'OUTCOME_');
}

function className(bounceClass: BounceClass | undefined): string {
  return bounceClass === undefined ? 'none' : nameIn(BounceClass, bounceClass, 'BOUNCE_CLASS_');
}

function nameIn(values: Readonly<Record<string, number>>, value: number, prefix: string): string {
  const found = Object.entries(values).find(([, number]) => number === value)?.[0];
  return found === undefined ? 'unknown' : found.slice(prefix.length).toLowerCase();
}
