// The gateway: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.
import { readFile } from 'node:fs/promises';
import { linkKeys } from '@maildoot/mail/tracking-token';
import type { Principal } from '@maildoot/proto/maildoot/auth/v1/auth';
import { createCertificate } from '@maildoot/runtime/certificate';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { Actions } from './actions.ts';
import { createApp } from './app.ts';
import { Authenticator } from './authentication.ts';
import { networkList } from './caller-address.ts';
import { type Config, checkConfig } from './config.ts';
import { DeprecatedCalls } from './deprecated-calls.ts';
import { docsPage } from './docs-page.ts';
import { documentRoutes } from './documents.ts';
import { internalError } from './errors.ts';
import { type EventStreamLimits, EventStreams } from './event-streams.ts';
import { Guesses } from './guesses.ts';
import { startHttpServer } from './http-server.ts';
import { inboxPage } from './inbox-page.ts';
import { LargeBodies } from './large-bodies.ts';
import { openapiDocument } from './openapi.ts';
import { passwordPage } from './password-page.ts';
import { connectPeers } from './peers.ts';
import { admit } from './permission.ts';
import { RateLimits } from './rate-limits.ts';
import { Refusals } from './refusals.ts';
import { BodyBudget } from './request-body.ts';
import { followRevocations, watchDeadlineMs } from './revocations.ts';
import type { Pages, Route, Surroundings } from './route.ts';
import { getHealthz } from './routes/get-healthz.ts';
import { getReadyz } from './routes/get-readyz.ts';
import { postMessages } from './routes/post-messages.ts';
import { routes } from './routes.ts';
import { SessionTokens } from './session-tokens.ts';
import { startSmtpDoor } from './smtp-door.ts';
import { submit } from './submit.ts';
import { telemetry } from './telemetry.ts';

/** A key that can't be checked within this time can't be checked; the answer of a moment ago may still be good enough. */
const authenticateDeadlineMs = 1500;

export interface Running extends AsyncDisposable {
  /** Where the API listens: `http://127.0.0.1:8080`. */
  readonly httpUrl: string;
  /** Where messages are submitted, `host:port`; undefined where they are not. */
  readonly smtp: { readonly starttls: string | undefined; readonly tls: string | undefined };
}

export interface Parts {
  readonly logger?: Logger;
  readonly eventStreams?: Partial<EventStreamLimits>;
  /** Other than the API's own, in tests. */
  readonly routes?: readonly Route[];
}

export async function start(config: Config, parts: Parts = {}): Promise<Running> {
  checkConfig(config);
  const logger = parts.logger ?? createLogger({ service: 'gateway', level: config.logLevel });
  const all = parts.routes ?? routes;
  const health = createHealth();
  const stopping = new AbortController();

  // Disposed of in reverse: the door first, what it leads to last.
  await using starting = new AsyncDisposableStack();
  let publicUrl = config.publicUrl?.replace(/\/+$/, '') ?? '';
  const peers = starting.use(connectPeers(config, health));
  const largeBodies = starting.use(new LargeBodies(config.bodyWorkers));
  const nowMs = (): number => performance.now();
  const options = { deadlineMs: authenticateDeadlineMs };
  const sessionTokens = new SessionTokens({
    ask: async () => (await peers.auth.getSigningKeys({}, options)).keys,
    issuer: () => publicUrl,
    nowMs,
  });
  const refusals = starting.use(new Refusals((request) => peers.auth.recordRefusals(request)));
  const actions = starting.use(
    new Actions(
      (request) => peers.auth.recordActions(request, options),
      (count) => telemetry.actionsLost(logger, count),
    ),
  );
  const deprecatedCalls = starting.use(new DeprecatedCalls((request) => peers.auth.recordDeprecatedCalls(request)));
  const guesses = new Guesses(nowMs);
  const authenticator = new Authenticator({
    ask: async (keySha256, address) => holder(await peers.auth.authenticate({ keySha256, address }, options)),
    askToken: async (tokenSha256, address) => holder(await peers.auth.authenticatePersonalAccessToken({ tokenSha256, address }, options)),
    askSession: async (sessionId) => holder(await peers.auth.authenticateSession({ sessionId }, options)),
    askSmtpUser: async (credentialSha256) => {
      const { principal, smtpUserId } = await peers.auth.authenticateSmtpUser({ credentialSha256 }, options);
      return { ...holder({ principal }), apiKeyId: smtpUserId };
    },
    tokens: sessionTokens,
    guesses,
    refused: (principal, address) => refusals.note(principal, address),
    nowMs,
  });
  const rateLimits = starting.use(new RateLimits({ take: (request) => peers.auth.takeQuota(request, options), nowMs }));

  starting.use(
    followRevocations({
      watch: (signal) => peers.auth.watchRevocations({}, { deadlineMs: watchDeadlineMs, signal }),
      authenticator: {
        revoked: (sha256) => authenticator.revoked(sha256),
        forget() {
          authenticator.forget();
          sessionTokens.forget();
        },
      },
      logger,
    }),
  );

  const budget = new BodyBudget(config.bodyBytesInFlight);
  starting.use(telemetry.bodiesHeld(() => budget.heldBytes));

  // The address is known only when the server listens, and the app that it listens with names the address: made in between.
  let handle: ReturnType<typeof createApp> | undefined;
  const server = await startHttpServer((request, response) => handle?.(request, response), {
    host: config.httpHost,
    port: config.httpPort,
    logger,
    publicUrl: () => publicUrl,
  });
  starting.defer(() => server.drain());
  publicUrl ||= server.url;

  const surroundings: Surroundings = {
    peers,
    largeBodies,
    publicUrl,
    logger,
    health,
    linkKeys: linkKeys(config.linkKeys, config.rpcSecret),
    pages: pagesFor(all, publicUrl),
    sessionTokens,
    guesses,
    eventStreams: new EventStreams(parts.eventStreams),
  };
  handle = createApp({
    routes: config.role === 'smtp' ? [getHealthz, getReadyz] : [...all, ...documentRoutes(all, publicUrl)],
    authenticator,
    rateLimits,
    actions,
    deprecatedCalls,
    budget,
    trustedProxies: networkList(config.trustedProxies),
    corsOrigins: config.corsOrigins,
    surroundings,
    logger,
    publicUrl,
    stopping: stopping.signal,
  });
  const smtp = await (config.role === 'http' ? undefined : smtpDoor());
  if (smtp !== undefined) starting.use(smtp);
  starting.defer(async () => {
    health.state = 'draining';
    stopping.abort();
  });
  health.state = 'ready';

  async function smtpDoor() {
    const { smtpListen, smtpsListen, smtpHostname: hostname, smtpTlsCert, smtpTlsKey } = config;
    if (smtpListen === undefined && smtpsListen === undefined) return undefined;
    const isOwn = smtpTlsCert !== undefined && smtpTlsKey !== undefined;
    if (!isOwn) telemetry.selfSigned(logger, hostname);
    return startSmtpDoor({
      listen: { starttls: smtpListen, tls: smtpsListen },
      hostname,
      certificate: isOwn
        ? { cert: await readFile(smtpTlsCert, 'utf8'), key: await readFile(smtpTlsKey, 'utf8') }
        : createCertificate({ names: [hostname, '127.0.0.1'] }),
      perHolder: { most: config.smtpMaxSessionsPerAddress },
      budget,
      authenticate: async (username, password, address) => {
        const principal = await authenticator.principalOfSmtp(username, password, address);
        admit(principal, postMessages);
        return principal;
      },
      submit: (message) => submit({ peers, rateLimits, route: postMessages, publicUrl: () => publicUrl }, message),
      ended: (outcome) => telemetry.submissionEnded(logger, outcome),
    });
  }

  const running = starting.move();
  return { httpUrl: server.url, smtp: { starttls: smtp?.starttls, tls: smtp?.tls }, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function holder({ principal }: { principal: Principal | undefined }): Principal {
  if (principal === undefined) throw internalError(new Error('auth knows the credential and not its holder'));
  return principal;
}

function pagesFor(all: readonly Route[], publicUrl: string): Pages {
  const document = openapiDocument(all, publicUrl);
  return { openapi: JSON.stringify(document), docs: docsPage(all, document, publicUrl), inbox: inboxPage(), password: passwordPage() };
}
