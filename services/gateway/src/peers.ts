// The services that the gateway asks. How their calls went is what /healthz says about them.
import { AuditServiceService } from '@maildoot/proto/maildoot/auth/v1/audit';
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { DeprecationServiceService } from '@maildoot/proto/maildoot/auth/v1/deprecation';
import { QuotaServiceService } from '@maildoot/proto/maildoot/auth/v1/quota';
import { SessionServiceService } from '@maildoot/proto/maildoot/auth/v1/session';
import { SmtpUserServiceService } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { TeamServiceService } from '@maildoot/proto/maildoot/auth/v1/team';
import { UserServiceService } from '@maildoot/proto/maildoot/auth/v1/user';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { EngagementServiceService } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { AcceptMessagesRequest, MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { StatsServiceService } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { type Dependency, HealthServiceService } from '@maildoot/proto/maildoot/rpc/v1/health';
import { TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { createRpcClient, type RpcClient } from '@maildoot/rpc/client';
import type { RpcService } from '@maildoot/rpc/service';
import type { DependencyHealth, Health } from '@maildoot/runtime/health';
import { rereading } from './ask-again.ts';
import type { Config } from './config.ts';
import { apiErrorFrom } from './errors.ts';

/** An AcceptMessages request that is bytes already: a worker wrote it. */
export class EncodedAcceptRequest {
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

const messagingDefinition = {
  ...MessagingServiceService,
  ...SuppressionServiceService,
  ...EngagementServiceService,
  ...StatsServiceService,
  acceptMessages: {
    ...MessagingServiceService.acceptMessages,
    requestSerialize: (request: AcceptMessagesRequest | EncodedAcceptRequest): Buffer =>
      request instanceof EncodedAcceptRequest ? request.bytes : MessagingServiceService.acceptMessages.requestSerialize(request),
    requestDeserialize: (bytes: Buffer): AcceptMessagesRequest | EncodedAcceptRequest => AcceptMessagesRequest.decode(bytes),
  },
} as const;

const authDefinition = {
  ...AuthServiceService,
  ...SessionServiceService,
  ...TeamServiceService,
  ...QuotaServiceService,
  ...SmtpUserServiceService,
  ...UserServiceService,
  ...AuditServiceService,
  ...DeprecationServiceService,
} as const;

export interface Peers extends AsyncDisposable {
  readonly auth: RpcClient<typeof authDefinition>;
  readonly messaging: RpcClient<typeof messagingDefinition>;
  readonly callbacks: RpcClient<typeof CallbackServiceService>;
  readonly delivery: RpcClient<typeof DeliveryServiceService>;
  readonly domains: RpcClient<typeof DomainServiceService>;
  readonly templates: RpcClient<typeof TemplateServiceService>;
  /** Asks every peer how it is, and reports it. Resolves with what they say of what they need: `auth.database`. */
  check(): Promise<Readonly<Record<string, DependencyHealth>>>;
}

const defaultDeadlineMs = 5000;
const checkDeadlineMs = 1000;
/** /healthz is open to everybody: asked more often, it answers what it knows. */
const checkAtMostEveryMs = 1000;

export function connectPeers(config: Config, health: Health): Peers {
  const checks: (() => Promise<[string, DependencyHealth][]>)[] = [];
  const stack = new AsyncDisposableStack();
  const connect = <D extends RpcService>(
    name: string,
    definition: D,
    address: string,
    bundled: (keyof D & string)[] = [],
  ): RpcClient<D> => {
    // One connection for both: what is said of health is said by a process that answers the calls.
    const client = stack.use(
      createRpcClient<RpcService>(
        { ...definition, ...HealthServiceService },
        { address, self: 'gateway', secret: config.rpcSecret, defaultDeadlineMs, bundled },
      ),
    );
    const { getHealth } = client as unknown as RpcClient<typeof HealthServiceService>;
    checks.push(async () => {
      try {
        const { ready, dependencies } = await getHealth({}, { deadlineMs: checkDeadlineMs });
        health.report(name, ready, ready ? undefined : 'starting or stopping');
        return dependencies.map((one) => [`${name}.${one.name}`, dependencyHealth(one)]);
      } catch (error) {
        health.report(name, false, apiErrorFrom(error).code);
        return [];
      }
    });
    return client as unknown as RpcClient<D>;
  };
  const auth = connect('auth', authDefinition, config.authAddress);
  const messaging = connect('messaging', messagingDefinition, config.messagingAddress, ['acceptMessages']);
  const callbacks = connect('messaging', CallbackServiceService, config.messagingAddress);
  const delivery = connect('delivery', DeliveryServiceService, config.deliveryAddress);
  const domains = connect('domain-provisioning', DomainServiceService, config.domainAddress);
  const templates = connect('template', TemplateServiceService, config.templateAddress);

  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let checking: ReturnType<Peers['check']> = Promise.resolve({});
  return {
    auth: rereading(
      auth,
      [
        'authenticate',
        'authenticateSession',
        'listApiKeys',
        'listSessions',
        'listMembers',
        'listAuditEntries',
        'getSigningKeys',
        'listSmtpUsers',
        'authenticateSmtpUser',
        'authenticatePersonalAccessToken',
        'getUser',
        'getPersonalAccessToken',
      ],
      defaultDeadlineMs,
    ),
    messaging: rereading(
      messaging,
      ['listMessages', 'getMessage', 'getTimeline', 'listEvents', 'listSuppressions', 'getStats', 'getUnsubscription'],
      defaultDeadlineMs,
    ),
    callbacks: rereading(callbacks, ['listCallbacks', 'getCallback', 'listCallbackAttempts'], defaultDeadlineMs),
    delivery: rereading(delivery, ['listCapturedMail', 'getCapturedMail'], defaultDeadlineMs),
    domains: rereading(domains, ['listDomains', 'getDomain'], defaultDeadlineMs),
    templates: rereading(templates, ['listTemplates', 'getTemplate', 'listVersions'], defaultDeadlineMs),
    check() {
      if (performance.now() - checkedAtMs >= checkAtMostEveryMs) {
        checkedAtMs = performance.now();
        checking = Promise.all(checks.map((check) => check())).then((lines) => Object.fromEntries(lines.flat()));
      }
      return checking;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function dependencyHealth({ ok, detail, since }: Dependency): DependencyHealth {
  return { ok, detail: detail || undefined, since: since ?? new Date() };
}
