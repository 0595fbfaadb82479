// Everything the gateway reports: one helper per event writes the metric and the log line. Paths appear as their route's template; query
// values, bodies and credentials never.

import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram, observableGauge, tracer } from '@maildoot/runtime/telemetry';
import { type Context, type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api';

const requestDuration = histogram('gateway', 'gateway.request.duration', {
  unit: 'ms',
  description: 'How long requests took, by route and status.',
});
const requestErrors = counter('gateway', 'gateway.request.errors', { description: 'Requests answered with an error, by route and code.' });
const messagesSent = counter('gateway', 'gateway.messages', { description: 'Messages of POST /v1/messages, by what became of them.' });
const eventStreamsCut = counter('gateway', 'gateway.event_streams.cut', {
  description: 'Streams of events that ended because a credential did, or messaging could not be asked.',
});
const acceptRetries = counter('gateway', 'gateway.accept.retries', { description: 'AcceptMessages asked again after a lost connection.' });

const visitsLost = counter('gateway', 'gateway.visits.lost', { description: 'Openings and clicks that messaging did not hear of.' });
const resultsMissing = counter('gateway', 'gateway.accept.results_missing', {
  description: 'Batches that messaging answered with fewer or more results than there were messages.',
});
const keysRevoked = counter('gateway', 'gateway.revocations', { description: 'Revoked keys that auth told of.' });
const revocationsMissed = counter('gateway', 'gateway.revocations.missed', {
  description: 'Times that everything remembered of keys was forgotten, because a revocation may not have been heard of.',
});

const submissions = counter('gateway', 'gateway.smtp.messages', { description: 'Messages that came by SMTP, by the code of the reply.' });

const limitsLost = counter('gateway', 'gateway.limits.not_asked', { description: 'Times that auth could not be asked how much is left.' });

const actionsNotTold = counter('gateway', 'gateway.actions.lost', { description: 'Entries of the audit log that auth did not hear of.' });

/** One request and how it ended. */
interface RequestSummary {
  readonly requestId: string;
  readonly method: string;
  /** The template: `/v1/messages/:id`; `unknown` where no route answered. */
  readonly route: string;
  /** 499: the client went away first. */
  readonly status: number;
  readonly errorCode: string | undefined;
  readonly durationMs: number;
  readonly tenantId: string | undefined;
  readonly apiKeyId: string | undefined;
  /** For the log only; scrubbed by the logger. */
  readonly cause: unknown;
}

export const telemetry = {
  /** A mistake of messaging's. */
  resultsMissing(logger: Logger, { requestId, asked, answered }: { requestId: string; asked: number; answered: number }): void {
    resultsMissing.add(1);
    logger.error({ request_id: requestId, asked, answered }, 'messaging answered another number of results than there were messages');
  },

  submissionEnded(logger: Logger, { tenantId, code, cause }: { tenantId: string | undefined; code: number; cause: unknown }): void {
    submissions.add(1, { code });
    if (cause !== undefined) logger.warn({ tenant_id: tenantId, code, err: cause }, 'a submitted message was put off');
    else logger.info({ tenant_id: tenantId, code }, 'message submitted');
  },

  selfSigned(logger: Logger, hostname: string): void {
    logger.warn(
      { hostname },
      'the SMTP doors have a self-signed certificate, which clients do not trust: set SMTP_TLS_CERT and SMTP_TLS_KEY',
    );
  },

  actionsLost(logger: Logger, count: number): void {
    actionsNotTold.add(count);
    logger.warn({ count }, 'entries of the audit log are lost: auth could not be told');
  },

  startRequest(method: string, route: string, parent: Context): Span {
    return tracer('gateway').startSpan(
      `${method} ${route}`,
      { kind: SpanKind.SERVER, attributes: { 'http.request.method': method, 'http.route': route } },
      parent,
    );
  },

  requestEnded(logger: Logger, span: Span | undefined, summary: RequestSummary): void {
    const { method, route, status, errorCode, durationMs } = summary;
    requestDuration.record(durationMs, { method, route, status });
    if (errorCode !== undefined) requestErrors.add(1, { method, route, code: errorCode });
    if (span) {
      span.setAttribute('http.response.status_code', status);
      if (errorCode !== undefined) span.setAttribute('error.type', errorCode);
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    }
    const level = status >= 500 ? (status === 500 ? 'error' : 'warn') : 'info';
    if (!logger.isLevelEnabled(level)) return;
    logger[level](
      {
        request_id: summary.requestId,
        method,
        route,
        status,
        duration_ms: Math.round(durationMs * 10) / 10,
        ...(summary.tenantId === undefined ? {} : { tenant_id: summary.tenantId }),
        ...(summary.apiKeyId === undefined ? {} : { api_key_id: summary.apiKeyId }),
        ...(errorCode === undefined ? {} : { error: errorCode }),
        ...(summary.cause === undefined || status < 500 ? {} : { err: summary.cause }),
      },
      'request',
    );
  },

  eventStreamCut(logger: Logger, requestId: string, cause: unknown): void {
    eventStreamsCut.add(1);
    logger.info({ request_id: requestId, err: cause }, 'events: a stream ended; its reader may come back');
  },

  messagesAnswered(accepted: number, refused: number): void {
    if (accepted > 0) messagesSent.add(accepted, { outcome: 'accepted' });
    if (refused > 0) messagesSent.add(refused, { outcome: 'refused' });
  },

  /** An opening or a click that messaging did not hear of. */
  visitLost(): void {
    visitsLost.add(1);
  },

  acceptRetried(logger: Logger, requestId: string): void {
    acceptRetries.add(1);
    logger.info({ request_id: requestId }, 'connection lost while messages were accepted; asking again with the same ids');
  },

  limitsNotAsked(_error: unknown): void {
    limitsLost.add(1);
  },

  revocationsHeard(count: number, missed: boolean): void {
    if (count > 0) keysRevoked.add(count);
    if (missed) revocationsMissed.add(1);
  },

  revocationsLost(logger: Logger, error: unknown, expected: boolean): void {
    if (expected) logger.debug({ err: error }, 'the stream of revocations has ended; opening the next one');
    else logger.warn({ err: error }, 'the stream of revocations was lost: until it is back, a revoked key stops within 3 s');
  },

  /** A request that never became one: broken HTTP, headers that are too large or too slow. */
  brokenRequest(logger: Logger, code: string): void {
    requestErrors.add(1, { method: 'none', route: 'none', code });
    logger.debug({ code }, 'a connection sent something that is not a request');
  },

  /** Until it is disposed of. */
  bodiesHeld(heldBytes: () => number): Disposable {
    return observableGauge('gateway', 'gateway.bodies.held', (result) => result.observe(heldBytes()), {
      unit: 'By',
      description: 'Request bodies in memory.',
    });
  },

  listening(logger: Logger, url: string): void {
    logger.info({ url }, 'listening');
  },

  stopTimedOut(logger: Logger, count: number): void {
    logger.warn({ connections: count }, 'requests were still running when the time to stop was over');
  },
};
