/**
 * Traces and metrics through OpenTelemetry. Spans are made by hand, where a reader of the trace wants one; there is no
 * auto-instrumentation. Without an endpoint and a port nothing is registered, the SDK isn't even loaded, and every call here ends
 * in the API's no-op objects.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Attributes,
  type Context,
  type Counter,
  context,
  type Histogram,
  isSpanContextValid,
  type MetricOptions,
  metrics,
  type ObservableCallback,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';

export interface TelemetryOptions {
  readonly serviceName: string;
  /** OTLP over HTTP, without the path: `http://collector:4318`. */
  readonly otlpEndpoint?: string | undefined;
  /** Where Prometheus reads; 0 takes a free port. */
  readonly metricsPort?: number | undefined;
  /** The interface of `metricsPort`; all of them unless given. */
  readonly metricsHost?: string | undefined;
}

export interface Telemetry extends AsyncDisposable {
  /** Where the metrics are, if they are served. */
  readonly metricsUrl: string | undefined;
}

const FLUSH_TIMEOUT_MS = 3000;

/** Starts exporting. Disposing of it sends what is left and undoes the registration. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { serviceName, otlpEndpoint, metricsPort } = options;
  if (otlpEndpoint === undefined && metricsPort === undefined) {
    return { metricsUrl: undefined, async [Symbol.asyncDispose]() {} };
  }
  // The SDK takes a good part of a second to load: only for those who use it.
  const [{ NodeSDK }, exporters, prometheus] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    otlpEndpoint === undefined ? undefined : import('@opentelemetry/exporter-trace-otlp-http'),
    metricsPort === undefined ? undefined : import('@opentelemetry/exporter-prometheus'),
  ]);
  const reader = prometheus ? new prometheus.PrometheusExporter({ preventServerStart: true }) : undefined;
  // The exporter's own server can't say which port it took.
  const server = reader ? createServer((request, response) => reader.getMetricsRequestHandler(request, response)) : undefined;
  if (server && metricsPort !== undefined) await listen(server, metricsPort, options.metricsHost);

  const traces = exporters
    ? { traceExporter: new exporters.OTLPTraceExporter({ url: tracesUrl(otlpEndpoint ?? ''), timeoutMillis: 5000 }) }
    : { spanProcessors: [] };
  const sdk = new NodeSDK({
    serviceName,
    autoDetectResources: false,
    instrumentations: [],
    logRecordProcessors: [],
    metricReaders: reader ? [reader] : [],
    textMapPropagator: null,
    ...traces,
  });
  sdk.start();
  registrationChanged();
  return {
    metricsUrl: server ? `http://${options.metricsHost ?? '127.0.0.1'}:${(server.address() as AddressInfo).port}/metrics` : undefined,
    async [Symbol.asyncDispose]() {
      // A collector that is down must not keep the process from ending well, nor for long.
      await Promise.race([sdk.shutdown().catch(() => undefined), delay(FLUSH_TIMEOUT_MS, undefined, { ref: false })]);
      if (server) await new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections());
      trace.disable();
      metrics.disable();
      context.disable();
      registrationChanged();
    },
  };
}

/** A service's tracer. Cheap, and follows a telemetry that is started later. */
export function tracer(service: string): Tracer {
  let found = tracers.get(service);
  if (!found) {
    found = trace.getTracer(`maildoot.${service}`);
    tracers.set(service, found);
  }
  return found;
}

/** The W3C trace context of a span, or of the span in a context: what travels in metadata and events. Undefined: no trace. */
export function traceparentOf(source: Span | Context): string | undefined {
  const spanContext = 'spanContext' in source ? source.spanContext() : trace.getSpanContext(source);
  if (!spanContext || !isSpanContextValid(spanContext)) return undefined;
  return `00-${spanContext.traceId}-${spanContext.spanId}-${(spanContext.traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** A context whose parent is the remote span named by a traceparent; the root where there is none or it is broken. */
export function contextFrom(traceparent: string | undefined): Context {
  if (traceparent === undefined || traceparent === '') return ROOT_CONTEXT;
  const match = TRACEPARENT.exec(traceparent);
  if (!match || match[1] === 'ff' || (match[1] === '00' && match[5] !== undefined)) return ROOT_CONTEXT;
  const spanContext: SpanContext = {
    traceId: match[2] ?? '',
    spanId: match[3] ?? '',
    traceFlags: Number.parseInt(match[4] ?? '0', 16) & TraceFlags.SAMPLED,
    isRemote: true,
  };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/**
 * Instruments that can be named when a module is loaded: OpenTelemetry's own bind to what is registered at that moment, which is
 * nothing yet. Attributes must have few values; never an id or an address.
 */
export function counter(service: string, name: string, options?: MetricOptions): { add(value: number, attributes?: Attributes): void } {
  const instrument = late((): Counter => metrics.getMeter(`maildoot.${service}`).createCounter(name, options));
  return { add: (value, attributes) => instrument().add(value, attributes) };
}

export function histogram(
  service: string,
  name: string,
  options?: MetricOptions,
): { record(value: number, attributes?: Attributes): void } {
  const instrument = late((): Histogram => metrics.getMeter(`maildoot.${service}`).createHistogram(name, options));
  return { record: (value, attributes) => instrument().record(value, attributes) };
}

/** A value that is asked for when metrics are read. Call it below `start`, after telemetry has started; disposing of it ends that. */
export function observableGauge(service: string, name: string, observe: ObservableCallback, options?: MetricOptions): Disposable {
  const gauge = metrics.getMeter(`maildoot.${service}`).createObservableGauge(name, options);
  gauge.addCallback(observe);
  return { [Symbol.dispose]: () => gauge.removeCallback(observe) };
}

const tracers = new Map<string, Tracer>();
// Counts registrations, so that instruments made for an earlier one are made again.
let generation = 0;

// A tracer or instrument keeps what was registered when it was first used.
function registrationChanged(): void {
  generation++;
  tracers.clear();
}

function late<T>(make: () => T): () => T {
  let instrument: T | undefined;
  let madeFor = -1;
  return () => {
    if (instrument === undefined || madeFor !== generation) {
      instrument = make();
      madeFor = generation;
    }
    return instrument;
  };
}

function tracesUrl(endpoint: string): string {
  return `${endpoint.replace(/\/+$/, '')}/v1/traces`;
}

function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`METRICS_PORT: cannot listen on ${port}: ${error.message}`, { cause: error })));
    server.listen(port, host, () => resolve());
  });
}
