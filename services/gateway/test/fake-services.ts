// The services behind the gateway, as real RPC servers. What stands behind those is outside this service, and is kept in memory: tenants with
// a thing of each kind, and a list of what was asked. What each service answers is in the file of its name.
import { createHash, randomBytes } from 'node:crypto';
import { CredentialKind, type Principal, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { CapturedMail } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { type ImplementedService, type RpcCall, type RpcServer, startRpcServer } from '@maildoot/rpc/server';
import { createHealth, type Health } from '@maildoot/runtime/health';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { authServices, Revocations } from './fake-auth.ts';
import { FakeCallbacks } from './fake-callbacks.ts';
import { deliveryService } from './fake-delivery.ts';
import { domainService } from './fake-domains.ts';
import { FakeMail } from './fake-mail.ts';
import { messagingService } from './fake-messaging.ts';
import { FakePeople, sampleSmtpUser, sampleUser } from './fake-people.ts';
import { templateService } from './fake-templates.ts';
import { type Answer, newTenant, type Tenant } from './fake-tenant.ts';
import { sampleDomain, sampleMessage, sampleTemplate } from './samples.ts';

export const secret = 'a secret that all services of this test share';
export const quiet = createLogger({ service: 'test', level: 'silent' });

export type ServiceName = 'auth' | 'messaging' | 'delivery' | 'domains' | 'templates';

/** One call that a service got. */
export interface Asked {
  rpc: string;
  request: unknown;
  tenantId: string;
  requestId: string;
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
  readonly #revocations = new Revocations();
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
    const listen = this.addresses[name] || '127.0.0.1:0';
    const server = await startRpcServer({
      listen,
      secret,
      service: name,
      logger: quiet,
      implementations: this.#implementationsOf(name),
      health: this.health[name],
      drainTimeoutMs: 100,
    });
    this.#servers.set(name, server);
    this.addresses[name] = server.address;
  }

  #implementationsOf(name: ServiceName): ImplementedService[] {
    const answer: Answer = (rpc, request, call, usual) => this.#answer(rpc, request, call, usual);
    switch (name) {
      case 'auth':
        return [...authServices(answer, this.principals, this.#revocations), ...this.people.implementations(answer)];
      case 'messaging':
        return [messagingService(answer, this.content), this.callbacks.implementation(answer), ...this.mail.implementations(answer)];
      case 'delivery':
        return [deliveryService(answer)];
      case 'domains':
        return [domainService(answer)];
      case 'templates':
        return [templateService(answer)];
    }
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
    this.#revocations.tell({ keySha256: [Buffer.from(sha256(key), 'hex')], missed: false });
  }

  /** That anything may have been revoked. */
  tellMissed(): void {
    this.#revocations.tell({ keySha256: [], missed: true });
  }

  /** How many streams of revocations are open. */
  get watching(): number {
    return this.#revocations.watching;
  }

  endWatches(): void {
    this.#revocations.end();
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
      CapturedMail.fromPartial({
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
    const tenant = this.#tenants.get(id) ?? newTenant(id);
    this.#tenants.set(id, tenant);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server[Symbol.asyncDispose]()));
  }
}

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
