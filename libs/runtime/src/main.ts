/**
 * The process around a service. Settings are read before the service is even loaded, so that a bad value ends the process at once,
 * with one line that names the variable.
 */
import { type ConfigOf, loadSettings, type Settings, SettingsError } from './config.ts';

/** What a service module has to offer. */
export interface Startable<C> {
  start(config: C): Promise<AsyncDisposable>;
}

/** Exit statuses: EX_CONFIG of sysexits for bad settings, 1 for everything else that went wrong. */
const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

// A terminal and what stands between (make, a supervisor) may each pass on the one wish to stop; only what comes later is impatience.
export const SAME_SIGNAL_MS = 300;

// Kubernetes gives 30 s by default; a process that is killed in the middle can't tell what it was doing.
const STOP_TIMEOUT_MS = 25_000;

/**
 * Runs a service until SIGTERM, SIGINT or the end of the process that forked it. A second signal ends it at once.
 *
 *     await runMain('auth', settings, () => import('./service.ts'));
 */
export async function runMain<S extends Settings>(name: string, settings: S, load: () => Promise<Startable<ConfigOf<S>>>): Promise<void> {
  let config: ConfigOf<S>;
  try {
    config = loadSettings(settings, process.env);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${name}: ${problem.name} ${problem.message}\n`);
    process.exitCode = EXIT_CONFIG;
    return;
  }

  const stop = stopSignal(name);
  const running = new AsyncDisposableStack();
  try {
    await startTelemetryFor(name, config, running);
    const service = await load();
    running.use(await service.start(config));
  } catch (error) {
    process.stderr.write(`${name}: could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    await endsInTime(name, running.disposeAsync());
    process.exit(EXIT_FAILURE);
  }
  await stop;
  const stopped = await endsInTime(name, running.disposeAsync());
  // A handle that somebody forgot must not keep a stopped service alive.
  process.exit(stopped ? 0 : EXIT_FAILURE);
}

/** Every service has the same two settings for telemetry; without them the SDK isn't loaded. */
async function startTelemetryFor(name: string, config: Readonly<Record<string, unknown>>, running: AsyncDisposableStack): Promise<void> {
  const { otelExporterOtlpEndpoint, metricsPort } = config;
  const otlpEndpoint = typeof otelExporterOtlpEndpoint === 'string' ? otelExporterOtlpEndpoint : undefined;
  const port = typeof metricsPort === 'number' ? metricsPort : undefined;
  if (otlpEndpoint === undefined && port === undefined) return;
  const { startTelemetry } = await import('./telemetry.ts');
  running.use(await startTelemetry({ serviceName: name, otlpEndpoint, metricsPort: port }));
}

function stopSignal(name: string): Promise<void> {
  return new Promise((resolve) => {
    let askedAtMs: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      const now = performance.now();
      askedAtMs ??= now;
      if (now - askedAtMs > SAME_SIGNAL_MS) {
        process.stderr.write(`${name}: ${signal} again, ending at once\n`);
        process.exit(EXIT_FAILURE);
      }
      resolve();
    };
    process.on('SIGTERM', onSignal);
    // Forked (standalone --split): a terminal's Ctrl-C comes to the whole group, but the parent knows in which order to stop. When it is
    // gone, nobody else would stop us.
    process.on('SIGINT', process.channel ? () => {} : onSignal);
    process.once('disconnect', () => resolve());
  });
}

async function endsInTime(name: string, ending: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      process.stderr.write(`${name}: did not stop within ${STOP_TIMEOUT_MS / 1000} s\n`);
      resolve(false);
    }, STOP_TIMEOUT_MS);
  });
  const ended = ending.then(
    () => true,
    (error: unknown) => {
      process.stderr.write(`${name}: did not stop well: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      return false;
    },
  );
  try {
    return await Promise.race([ended, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
