// The services behind the gateway, as real RPC servers. What stands behind those is outside this service, and is kept in memory here: two
// tenants, their keys, messages, domains and captured mail, and a list of what was asked.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  AuthServiceService,
  CredentialKind,
  type Principal,
  Role,
  Scope,
  type WatchRevocationsResponse,
} from '@maildoot/proto/maildoot/auth/v1/auth';
import { UserServiceService } from '@maildoot/proto/maildoot/auth/v1/user';
import {
  type CapturedMail,
  CapturedMail as CapturedMailMessage,
  DeliveryServiceService,
} from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { type Domain, DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { DryRunResponse } from '@maildoot/proto/maildoot/messaging/v1/dry_run';
import {
  GetTimelineResponse,
  type Message,
  MessageStatus,
  MessagingServiceService,
  ResendMessageResponse,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type Template, TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { defineErrors } from '@maildoot/rpc/errors';
import { type ImplementedService, implement, type RpcCall, type RpcServer, startRpcServer } from '@maildoot/rpc/server';
import { createHealth, type Health } from '@maildoot/runtime/health';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { FakeCallbacks } from './fake-callbacks.ts';
import { FakeMail } from './fake-mail.ts';
import { FakePeople, sampleSmtpUser, sampleUser } from './fake-people.ts';
import { acceptedIn, sampleDomain, sampleEvent, sampleMessage, sampleTemplate } from './samples.ts';

export const secret = 'a secret that all services of this test share';
export const quiet = createLogger({ service: 'test', level: 'silent' });

export const errors = defineErrors({
  INVALID_TOKEN: { status: 'UNAUTHENTICATED', retryable: false },
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  DOMAIN_NOT_VERIFIED: { status: 'FAILED_PRECONDITION', retryable: false },
  MESSAGE_NOT_CANCELLABLE: { status: 'FAILED_PRECONDITION', retryable: false },
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
});

export type ServiceName = 'auth' | 'messaging' | 'delivery' | 'domains' | 'templates';

/** One call that a service got. */
export interface Asked {
  rpc: string;
  request: unknown;
  tenantId: string;
  requestId: string;
}

interface Tenant {
  id: string;
  batchId: string;
  messages: Map<string, Message>;
  domains: Map<string, Domain>;
  mails: Map<string, CapturedMail>;
  templates: Map<string, Template>;
  keyIds: Set<string>;
}

/** A tenant with one key per scope and one thing of each kind. */
export interface KnownTenant {
  id: string;
  keys: Record<'full' | 'send' | 'read', string>;
  messageId: string;
  batchId: string;
  keyId: string;
  memberId: string;
  smtpUserId: string;
  callbackId: string;
  capturedId: string;
  templateId: string;
  domain: string;
}

function ready(): Health {
  const health = createHealth();
  health.state = 'ready';
  return health;
}

type Behaviour = (request: never, call: RpcCall) => unknown;

export class FakeServices implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** What each service says of itself. */
  readonly health: Record<ServiceName, Health> = {
    auth: ready(),
    messaging: ready(),
    delivery: ready(),
    domains: ready(),
    templates: ready(),
  };
  readonly principals = new Map<string, Principal>();
  readonly people = new FakePeople();
  readonly mail = new FakeMail();
  readonly callbacks = new FakeCallbacks();
  readonly content = new Map<string, Buffer[]>();
  readonly #tenants = new Map<string, Tenant>();
  readonly #watchers = new Set<{ tell(frame: WatchRevocationsResponse): void; end(): void }>();
  readonly #instead = new Map<string, Behaviour>();
  readonly #servers = new Map<ServiceName, RpcServer>();
  readonly addresses: Record<ServiceName, string> = { auth: '', messaging: '', delivery: '', domains: '', templates: '' };

  static async start(): Promise<FakeServices> {
    const services = new FakeServices();
    for (const name of ['auth', 'messaging', 'delivery', 'domains', 'templates'] as const) await services.up(name);
    return services;
  }

  /** Starts a service, at its earlier address when it was down. */
  async up(name: ServiceName): Promise<void> {
    const implementation: () => ImplementedService | ImplementedService[] = {
      auth: this.#auth,
      messaging: this.#messaging,
      delivery: this.#delivery,
      domains: this.#domains,
      templates: this.#templates,
    }[name];
    const listen = this.addresses[name] || '127.0.0.1:0';
    const server = await startRpcServer({
      listen,
      secret,
      service: name,
      logger: quiet,
      implementations: [implementation.call(this)].flat(),
      health: this.health[name],
      drainTimeoutMs: 100,
    });
    this.#servers.set(name, server);
    this.addresses[name] = server.address;
  }

  async down(name: ServiceName): Promise<void> {
    await this.#servers.get(name)?.[Symbol.asyncDispose]();
    this.#servers.delete(name);
  }

  /** Does something else at one RPC, until it is called without. */
  instead<Request>(rpc: string, behaviour?: (request: Request, call: RpcCall) => unknown): void {
    if (behaviour) this.#instead.set(rpc, behaviour as Behaviour);
    else this.#instead.delete(rpc);
  }

  requestsOf<Request>(rpc: string): Request[] {
    return this.asked.filter((one) => one.rpc === rpc).map(({ request }) => request as Request);
  }

  addKey(principal: Partial<Principal> & { tenantId: string; scope: Scope }): string {
    const key = `mdsk_${randomBytes(24).toString('hex')}`;
    this.#addPrincipal(key, { apiKeyId: newId('key'), ...principal });
    return key;
  }

  #addPrincipal(secret: string, principal: Partial<Principal> & Pick<Principal, 'tenantId' | 'scope' | 'apiKeyId'>): void {
    this.principals.set(sha256(secret), {
      allowedIps: [],
      allowedDomains: [],
      expiresAt: undefined,
      kind: CredentialKind.CREDENTIAL_KIND_API_KEY,
      userId: '',
      role: Role.ROLE_UNSPECIFIED,
      suspended: false,
      dailyLimit: 0,
      ...principal,
    });
  }

  /** A personal access token. */
  addToken(principal: Pick<Principal, 'tenantId' | 'role'> & Partial<Principal>): string {
    const kind = CredentialKind.CREDENTIAL_KIND_PAT;
    const token = `pat_${randomBytes(24).toString('hex')}`;
    this.#addPrincipal(token, { apiKeyId: '', scope: Scope.SCOPE_UNSPECIFIED, userId: newId('usr'), kind, ...principal });
    return token;
  }

  /** Auth knows; nobody is told. */
  revoke(key: string): void {
    this.principals.delete(sha256(key));
  }

  /** Tells who watches revocations: of a key, or of the id of a session. */
  tellRevoked(key: string): void {
    for (const watcher of this.#watchers) watcher.tell({ keySha256: [Buffer.from(sha256(key), 'hex')], missed: false });
  }

  /** That anything may have been revoked. */
  tellMissed(): void {
    for (const watcher of this.#watchers) watcher.tell({ keySha256: [], missed: true });
  }

  /** How many streams of revocations are open. */
  get watching(): number {
    return this.#watchers.size;
  }

  endWatches(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  addTenant(): KnownTenant {
    const id = newId('ten');
    const tenant = this.#tenant(id);
    const messageId = newId('msg');
    tenant.messages.set(messageId, sampleMessage(messageId));
    this.content.set(messageId, [Buffer.from('Subject: hello\r\n\r\n'), Buffer.from('Hello!\r\n')]);
    const capturedId = newId('cap');
    tenant.mails.set(
      capturedId,
      CapturedMailMessage.fromPartial({
        id: capturedId,
        messageId,
        subject: 'hello',
        rcptTo: ['user@example.com'],
        dkim: 'pass',
        receivedAt: new Date(),
      }),
    );
    const templateId = newId('tpl');
    tenant.templates.set(templateId, sampleTemplate(templateId));
    const domain = `${id.slice(-8)}.example`;
    tenant.domains.set(domain, sampleDomain(domain));
    const keys = {
      full: this.addKey({ tenantId: id, scope: Scope.SCOPE_FULL }),
      send: this.addKey({ tenantId: id, scope: Scope.SCOPE_SEND }),
      read: this.addKey({ tenantId: id, scope: Scope.SCOPE_READ }),
    };
    const keyId = newId('key');
    tenant.keyIds.add(keyId);
    const memberId = newId('usr');
    this.people.membersOf(id).set(memberId, sampleUser(memberId));
    const smtpUserId = newId('smu');
    this.people.smtpUsersOf(id).set(smtpUserId, sampleSmtpUser(smtpUserId));
    const callbackId = this.callbacks.add(id);
    const { batchId } = tenant;
    return { id, keys, messageId, batchId, keyId, memberId, smtpUserId, callbackId, capturedId, templateId, domain };
  }

  #tenant(id: string): Tenant {
    let tenant = this.#tenants.get(id);
    if (!tenant) {
      tenant = {
        id,
        batchId: newId('bat'),
        messages: new Map(),
        domains: new Map(),
        mails: new Map(),
        templates: new Map(),
        keyIds: new Set(),
      };
      this.#tenants.set(id, tenant);
    }
    return tenant;
  }

  /** Writes the call down, then does what was asked for instead, or the usual. */
  async #answer<Request, Response>(
    rpc: string,
    request: Request,
    call: RpcCall,
    usual: (tenant: Tenant) => Response | Promise<Response>,
  ): Promise<Response> {
    this.asked.push({ rpc, request, tenantId: call.tenantId, requestId: call.requestId });
    const instead = this.#instead.get(rpc);
    if (instead) return (await instead(request as never, call)) as Response;
    return usual(this.#tenant(call.tenantId));
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<WatchRevocationsResponse> {
    const frames: WatchRevocationsResponse[] = [{ keySha256: [], missed: true }];
    let wake: () => void = () => undefined;
    let ended = false;
    const watcher = {
      tell: (frame: WatchRevocationsResponse) => {
        frames.push(frame);
        wake();
      },
      end: () => {
        ended = true;
        wake();
      },
    };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', watcher.end);
    try {
      while (!ended) {
        const frame = frames.shift();
        if (frame) yield frame;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  #auth() {
    const allow = ['gateway'];
    const people = this.people.implementations((rpc, request, call, usual) => this.#answer(rpc, request, call, usual), errors);
    const auth = implement(AuthServiceService, {
      authenticate: {
        allow,
        handle: (request, call) =>
          this.#answer('authenticate', request, call, () => {
            const principal = this.principals.get(request.keySha256.toString('hex'));
            if (!principal) throw errors.INVALID_TOKEN({ message: 'no' });
            return { principal };
          }),
      },
      createApiKey: {
        allow,
        handle: (request, call) =>
          this.#answer('createApiKey', request, call, (tenant) => {
            const id = newId('key');
            tenant.keyIds.add(id);
            const { name, scope, allowedIps, allowedDomains } = request;
            return {
              apiKey: {
                id,
                name,
                prefix: 'mdsk_abcd',
                scope,
                allowedIps,
                allowedDomains,
                createdAt: new Date(),
                expiresAt: undefined,
                lastUsedAt: undefined,
                test: request.test,
                dailyLimit: request.dailyLimit,
              },
              key: `mdsk_${'k'.repeat(43)}`,
              replayed: false,
            };
          }),
      },
      listApiKeys: {
        allow,
        handle: (request, call) =>
          this.#answer('listApiKeys', request, call, (tenant) => ({
            apiKeys: [...tenant.keyIds].map((id) => ({
              id,
              name: 'key',
              prefix: 'mdsk_abcd',
              scope: Scope.SCOPE_FULL,
              allowedIps: [],
              allowedDomains: [],
              createdAt: new Date(),
              expiresAt: undefined,
              lastUsedAt: undefined,
              test: false,
              dailyLimit: 0,
            })),
            hasMore: false,
          })),
      },
      revokeApiKey: {
        allow,
        handle: (request, call) =>
          this.#answer('revokeApiKey', request, call, (tenant) => {
            if (!tenant.keyIds.delete(request.id)) throw errors.NOT_FOUND({ message: 'There is no API key with this id.' });
            return {};
          }),
      },
      watchRevocations: { allow, handle: (_request, call) => this.#watch(call.signal) },
      createTenant: { allow: ['operator'], handle: () => assert.fail('nobody makes tenants here') },
    });
    const user = implement(UserServiceService, {
      getUser: {
        allow,
        handle: (request, call) =>
          this.#answer('getUser', request, call, () => ({
            user: sampleUser(request.userId || newId('usr')),
            number: 17,
            suspended: false,
          })),
      },
      getPersonalAccessToken: {
        allow,
        handle: (request, call) =>
          this.#answer('getPersonalAccessToken', request, call, () => ({
            token: { userNumber: 17, value: `pat_${'t'.repeat(43)}`, createdAt: new Date() },
          })),
      },
      regeneratePersonalAccessToken: {
        allow,
        handle: (request, call) => this.#answer('regeneratePersonalAccessToken', request, call, () => ({ replayed: false })),
      },
      authenticatePersonalAccessToken: {
        allow,
        handle: (request, call) =>
          this.#answer('authenticatePersonalAccessToken', request, call, () => {
            const principal = this.principals.get(request.tokenSha256.toString('hex'));
            if (!principal) throw errors.INVALID_TOKEN({ message: 'no' });
            return { principal };
          }),
      },
    });
    return [auth, user, ...people];
  }

  #messaging() {
    const allow = ['gateway'];
    const find = (tenant: Tenant, id: string): Message => {
      const message = tenant.messages.get(id);
      if (!message) throw errors.NOT_FOUND({ message: 'There is no such message.' });
      return message;
    };
    const services = this;
    const mail = this.mail.implementations((rpc, request, call, usual) => this.#answer(rpc, request, call, usual), errors);
    const messaging = implement(MessagingServiceService, {
      acceptMessages: {
        allow,
        handle: (request, call) => this.#answer('acceptMessages', request, call, (tenant) => acceptedIn(tenant.templates, request)),
      },
      listMessages: {
        allow,
        handle: (request, call) =>
          this.#answer('listMessages', request, call, (tenant) => ({
            messages: [...tenant.messages.values()],
            nextAfterId: '',
            searchedBackTo: new Date(),
          })),
      },
      getMessage: {
        allow,
        handle: (request, call) =>
          this.#answer('getMessage', request, call, (tenant) => ({ message: find(tenant, request.id), events: [sampleEvent()] })),
      },
      getTimeline: {
        allow,
        handle: (request, call) =>
          this.#answer('getTimeline', request, call, (tenant) => {
            const message = find(tenant, request.id);
            return GetTimelineResponse.fromPartial({
              id: message.id,
              status: message.status,
              events: [{ id: newId('evt'), type: 'message.accepted', at: new Date() }],
              recipients: message.recipients.map((recipient) => ({ recipient, events: [sampleEvent()] })),
            });
          }),
      },
      listEvents: {
        allow,
        handle: (request, call) =>
          this.#answer('listEvents', request, call, (tenant) => {
            const [message] = tenant.messages.values();
            const seq = 1_832_000_000_000_000n;
            const known = {
              seq,
              event: sampleEvent(),
              messageId: message?.id ?? '',
              batchId: '',
              tags: ['t'],
              metadata: { order: '7' },
              recordedAt: new Date(),
              dataJson: Buffer.alloc(0),
            };
            const events = request.after < seq ? [known] : [];
            return { events, nextAfter: events.at(-1)?.seq ?? request.after, hasMore: false };
          }),
      },
      cancelMessage: {
        allow,
        handle: (request, call) =>
          this.#answer('cancelMessage', request, call, (tenant) => ({
            message: { ...find(tenant, request.id), status: MessageStatus.MESSAGE_STATUS_CANCELLED },
          })),
      },
      getContent: {
        allow,
        handle: async function* (request, call) {
          const frames = await services.#answer(
            'getContent',
            request,
            call,
            (tenant) => services.content.get(find(tenant, request.id).id) ?? [],
          );
          for (const data of frames) yield { data };
        },
      },
      cancelBatch: {
        allow,
        handle: (request, call) =>
          this.#answer('cancelBatch', request, call, (tenant) => {
            if (request.batchId !== tenant.batchId) throw errors.NOT_FOUND({ message: 'There is no such batch.' });
            const status = MessageStatus.MESSAGE_STATUS_CANCELLED;
            return { messages: [...tenant.messages.keys()].map((id) => ({ id, status, cancelled: 1, recipients: 2 })) };
          }),
      },
      rescheduleMessage: {
        allow,
        handle: (request, call) =>
          this.#answer('rescheduleMessage', request, call, (tenant) => ({
            message: { ...find(tenant, request.id), status: MessageStatus.MESSAGE_STATUS_SCHEDULED, sendAt: request.sendAt },
          })),
      },
      resendMessage: {
        allow,
        handle: (request, call) =>
          this.#answer('resendMessage', request, call, (tenant) => {
            find(tenant, request.id);
            return ResendMessageResponse.fromPartial({
              accepted: {
                id: request.newId,
                status: MessageStatus.MESSAGE_STATUS_QUEUED,
                createdAt: new Date(),
                estimatedSendAt: new Date(),
              },
            });
          }),
      },
      dryRun: {
        allow,
        handle: (request, call) =>
          this.#answer('dryRun', request, call, () =>
            DryRunResponse.fromPartial({ mime: Buffer.from('Subject: hello\r\n\r\nHello!\r\n'), sizeBytes: 26n, recipients: 1 }),
          ),
      },
      readContents: { allow: ['delivery'], handle: () => assert.fail('not for the gateway') },
    });
    const callbacks = this.callbacks.implementations((rpc, request, call, usual) => this.#answer(rpc, request, call, usual), errors);
    return [messaging, callbacks, ...mail];
  }

  #delivery() {
    const allow = ['gateway'];
    return implement(DeliveryServiceService, {
      cancelRecipients: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
      listCapturedMail: {
        allow,
        handle: (request, call) =>
          this.#answer('listCapturedMail', request, call, (tenant) => ({ mails: [...tenant.mails.values()], hasMore: false })),
      },
      getCapturedMail: {
        allow,
        handle: (request, call) =>
          this.#answer('getCapturedMail', request, call, (tenant) => {
            const mail = tenant.mails.get(request.id);
            if (!mail) throw errors.NOT_FOUND({ message: 'There is no such mail.' });
            return { mail, raw: Buffer.from('Subject: hello\r\n\r\nHello!\r\n') };
          }),
      },
    });
  }

  #domains() {
    const allow = ['gateway'];
    return implement(DomainServiceService, {
      createDomain: {
        allow,
        handle: (request, call) =>
          this.#answer('createDomain', request, call, () => ({ domain: sampleDomain(request.domain), replayed: false })),
      },
      listDomains: {
        allow,
        handle: (request, call) =>
          this.#answer('listDomains', request, call, (tenant) => ({ domains: [...tenant.domains.values()], hasMore: false })),
      },
      getDomain: {
        allow: ['gateway'],
        handle: (request, call) => this.#answer('getDomain', request, call, (tenant) => ({ domain: domainOf(tenant, request.domain) })),
      },
      deleteDomain: {
        allow: ['gateway'],
        handle: (request, call) =>
          this.#answer('deleteDomain', request, call, (tenant) => {
            domainOf(tenant, request.domain);
            tenant.domains.delete(request.domain);
            return {};
          }),
      },
      rotateDkim: {
        allow: ['gateway'],
        handle: (request, call) =>
          this.#answer('rotateDkim', request, call, (tenant) => ({ domain: domainOf(tenant, request.domain), replayed: false })),
      },
      getMailHosts: { allow: ['messaging', 'delivery'], handle: () => assert.fail('not for the gateway') },
      verifyDomain: {
        allow,
        handle: (request, call) =>
          this.#answer('verifyDomain', request, call, (tenant) => {
            return { domain: domainOf(tenant, request.domain), replayed: false };
          }),
      },
      checkSenderDomains: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
      getSigningKey: { allow: ['delivery'], handle: () => assert.fail('not for the gateway') },
    });
  }

  #templates() {
    const allow = ['gateway'];
    const find = (tenant: Tenant, id: string): Template => {
      const template = tenant.templates.get(id);
      if (!template) throw errors.NOT_FOUND({ message: 'There is no such template.' });
      return template;
    };
    return implement(TemplateServiceService, {
      createTemplate: {
        allow,
        handle: (request, call) =>
          this.#answer('createTemplate', request, call, () => ({ template: sampleTemplate(newId('tpl')), replayed: false })),
      },
      listTemplates: {
        allow,
        handle: (request, call) =>
          this.#answer('listTemplates', request, call, (tenant) => ({ templates: [...tenant.templates.values()], hasMore: false })),
      },
      getTemplate: {
        allow,
        handle: (request, call) => this.#answer('getTemplate', request, call, (tenant) => ({ template: find(tenant, request.id) })),
      },
      updateTemplate: {
        allow,
        handle: (request, call) => this.#answer('updateTemplate', request, call, (tenant) => ({ template: find(tenant, request.id) })),
      },
      deleteTemplate: {
        allow,
        handle: (request, call) =>
          this.#answer('deleteTemplate', request, call, (tenant) => {
            find(tenant, request.id);
            tenant.templates.delete(request.id);
            return {};
          }),
      },
      listVersions: {
        allow,
        handle: (request, call) =>
          this.#answer('listVersions', request, call, (tenant) => {
            const { id, version } = find(tenant, request.id);
            return { versions: version === undefined ? [] : [version], hasMore: false, templateId: id };
          }),
      },
      publishTemplate: {
        allow,
        handle: (request, call) =>
          this.#answer('publishTemplate', request, call, (tenant) => ({ template: find(tenant, request.id), replayed: false })),
      },
      previewTemplate: {
        allow,
        handle: (request, call) =>
          this.#answer('previewTemplate', request, call, (tenant) => ({
            rendered: { subject: 'Order', html: '<p>Ada</p>', text: '', templateId: find(tenant, request.id).id, templateVersion: 1 },
            missingVariables: [],
          })),
      },
      renderTemplates: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server[Symbol.asyncDispose]()));
  }
}

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function domainOf(tenant: { domains: Map<string, Domain> }, name: string): Domain {
  const domain = tenant.domains.get(name);
  if (!domain) throw errors.NOT_FOUND({ message: 'There is no such domain.' });
  return domain;
}
