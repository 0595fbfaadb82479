// What auth knows of people and of limits, kept in memory: sessions with real tokens, members, ledgers.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type Action, AuditServiceService, type RecordRefusalsRequest } from '@maildoot/proto/maildoot/auth/v1/audit';
import { CredentialKind, type Principal, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { type DeprecatedCall, DeprecationServiceService } from '@maildoot/proto/maildoot/auth/v1/deprecation';
import { QuotaServiceService, type Take, type Taken } from '@maildoot/proto/maildoot/auth/v1/quota';
import { type LoginResponse, SessionServiceService, type User } from '@maildoot/proto/maildoot/auth/v1/session';
import { type SmtpUser, SmtpUserServiceService } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { TeamServiceService } from '@maildoot/proto/maildoot/auth/v1/team';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { SignJWT } from 'jose';
import { type Answer, errors } from './fake-tenant.ts';

export interface SessionOptions {
  tenantId: string;
  role: Role;
  suspended?: boolean;
  /** Of the token; by default an hour from now. */
  expiresInS?: number;
  audience?: string;
}

const rsa = () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  return { privateKey, published: { kid: randomBytes(6).toString('hex'), n, e } };
};

export class FakePeople {
  /** By the session's id. */
  readonly sessions = new Map<string, Principal>();
  readonly members = new Map<string, Map<string, User>>();
  readonly smtpUsers = new Map<string, Map<string, SmtpUser>>();
  readonly refusals: RecordRefusalsRequest['refusals'] = [];
  /** Told for the audit log. */
  readonly actions: Action[] = [];
  /** Told calls of deprecated operations. */
  readonly deprecatedCalls: DeprecatedCall[] = [];
  /** How often each was asked; they are not written down among the other calls. */
  readonly count = { authenticateSession: 0, getSigningKeys: 0, takeQuota: 0 };
  /** The first signs. */
  keys = [rsa()];
  readonly stranger = rsa();
  /** What ledgers say; by default there are no limits. */
  quota: (take: Take) => Taken | Promise<Taken> = () => ({
    granted: 0,
    limit: 0n,
    remaining: 0n,
    windowStartS: 0n,
    windowS: 60,
    endsInMs: 60_000,
  });

  rotate(): void {
    this.keys.unshift(rsa());
  }

  /** A session and its token. */
  async session(issuer: string, options: SessionOptions): Promise<{ id: string; userId: string; token: string }> {
    const [id, userId] = [newId('ses'), newId('usr')];
    this.sessions.set(id, {
      tenantId: options.tenantId,
      apiKeyId: '',
      scope: Scope.SCOPE_UNSPECIFIED,
      allowedIps: [],
      allowedDomains: [],
      expiresAt: undefined,
      kind: CredentialKind.CREDENTIAL_KIND_SESSION,
      userId,
      role: options.role,
      suspended: options.suspended ?? false,
      dailyLimit: 0,
    });
    return { id, userId, token: await this.token(issuer, id, userId, options) };
  }

  token(
    issuer: string,
    sessionId: string,
    userId: string,
    { expiresInS = 3600, audience = 'maildoot' }: Pick<SessionOptions, 'expiresInS' | 'audience'> = {},
    key = this.keys[0] ?? this.stranger,
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'RS256', kid: key.published.kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(userId)
      .setIssuedAt(now)
      .setExpirationTime(now + expiresInS)
      .sign(key.privateKey);
  }

  membersOf(tenantId: string): Map<string, User> {
    const members = this.members.get(tenantId) ?? new Map<string, User>();
    this.members.set(tenantId, members);
    return members;
  }

  smtpUsersOf(tenantId: string): Map<string, SmtpUser> {
    const users = this.smtpUsers.get(tenantId) ?? new Map<string, SmtpUser>();
    this.smtpUsers.set(tenantId, users);
    return users;
  }

  implementations(answer: Answer): ImplementedService[] {
    const allow = ['gateway'];
    const smtpUserOf = (tenantId: string, id: string): SmtpUser => {
      const user = this.smtpUsersOf(tenantId).get(id);
      if (user === undefined) throw errors.NOT_FOUND({ message: 'There is no such SMTP user.' });
      return user;
    };
    const began = (): LoginResponse => ({
      tokens: { accessToken: 'eyJ.a.b', expiresInS: 3600, refreshToken: `rt_${'r'.repeat(43)}`, refreshExpiresInS: 604_800 },
      user: sampleUser(newId('usr')),
    });
    return [
      implement(SessionServiceService, {
        login: { allow, handle: (request, call) => answer('login', request, call, began) },
        refresh: { allow, handle: (request, call) => answer('refresh', request, call, began) },
        authenticateSession: {
          allow,
          handle: ({ sessionId }) => {
            this.count.authenticateSession++;
            const principal = this.sessions.get(sessionId);
            if (!principal) throw errors.INVALID_TOKEN({ message: 'no' });
            return { principal };
          },
        },
        listSessions: {
          allow,
          handle: (request, call) =>
            answer('listSessions', request, call, () => ({
              sessions: [...this.sessions].flatMap(([id, { userId, tenantId }]) =>
                userId === request.userId && tenantId === call.tenantId
                  ? [{ id, createdAt: new Date(), lastUsedAt: new Date(), expiresAt: new Date(), origin: { address: '', userAgent: '' } }]
                  : [],
              ),
              hasMore: false,
            })),
        },
        endSessions: {
          allow,
          handle: (request, call) =>
            answer('endSessions', request, call, () => {
              const session = this.sessions.get(request.sessionId);
              if (request.sessionId !== '' && (session?.tenantId !== call.tenantId || session.userId !== request.userId))
                throw errors.NOT_FOUND({ message: 'There is no such session.' });
              return { ended: 1 };
            }),
        },
        changePassword: { allow, handle: (request, call) => answer('changePassword', request, call, () => ({})) },
        requestPasswordReset: { allow, handle: (request, call) => answer('requestPasswordReset', request, call, () => ({})) },
        completePasswordReset: { allow, handle: (request, call) => answer('completePasswordReset', request, call, () => ({})) },
        getSigningKeys: {
          allow,
          handle: () => {
            this.count.getSigningKeys++;
            return { keys: this.keys.map(({ published }) => published) };
          },
        },
      }),
      implement(TeamServiceService, {
        listMembers: {
          allow,
          handle: (request, call) =>
            answer('listMembers', request, call, () => ({ members: [...this.membersOf(call.tenantId).values()], hasMore: false })),
        },
        inviteMember: {
          allow,
          handle: (request, call) =>
            answer('inviteMember', request, call, () => ({
              member: { ...sampleUser(newId('usr')), email: request.email, role: request.role, active: false },
              replayed: false,
            })),
        },
        removeMember: {
          allow,
          handle: (request, call) =>
            answer('removeMember', request, call, () => {
              if (!this.membersOf(call.tenantId).delete(request.id)) throw errors.NOT_FOUND({ message: 'There is no such member.' });
              return {};
            }),
        },
      }),
      implement(SmtpUserServiceService, {
        createSmtpUser: {
          allow,
          handle: (request, call) =>
            answer('createSmtpUser', request, call, () => ({
              smtpUser: { ...sampleSmtpUser(newId('smu')), username: request.username },
              password: `mdsp_${'p'.repeat(43)}`,
              replayed: false,
            })),
        },
        listSmtpUsers: {
          allow,
          handle: (request, call) =>
            answer('listSmtpUsers', request, call, () => ({ smtpUsers: [...this.smtpUsersOf(call.tenantId).values()], hasMore: false })),
        },
        deleteSmtpUser: {
          allow,
          handle: (request, call) =>
            answer('deleteSmtpUser', request, call, () => {
              this.smtpUsersOf(call.tenantId).delete(smtpUserOf(call.tenantId, request.id).id);
              return {};
            }),
        },
        resetSmtpPassword: {
          allow,
          handle: (request, call) =>
            answer('resetSmtpPassword', request, call, () => ({
              smtpUser: smtpUserOf(call.tenantId, request.id),
              password: `mdsp_${'p'.repeat(43)}`,
              replayed: false,
            })),
        },
        authenticateSmtpUser: {
          allow,
          handle: () => {
            throw errors.INVALID_TOKEN({ message: 'no' });
          },
        },
      }),
      implement(QuotaServiceService, {
        takeQuota: {
          allow,
          handle: async ({ takes }) => {
            this.count.takeQuota++;
            return { taken: await Promise.all(takes.map((take) => this.quota(take))) };
          },
        },
      }),
      implement(DeprecationServiceService, {
        recordDeprecatedCalls: {
          allow,
          handle: (request, call) =>
            answer('recordDeprecatedCalls', request, call, () => {
              this.deprecatedCalls.push(...request.calls);
              return {};
            }),
        },
      }),
      implement(AuditServiceService, {
        listAuditEntries: {
          allow,
          handle: (request, call) =>
            answer('listAuditEntries', request, call, () => ({
              entries: [
                {
                  id: newId('aud'),
                  action: 'api_key.created',
                  at: new Date(),
                  actorId: 'usr_1',
                  subjectId: 'key_1',
                  address: '',
                  detail: 'full',
                },
              ],
              hasMore: false,
            })),
        },
        recordActions: {
          allow,
          handle: (request, call) =>
            answer('recordActions', request, call, () => {
              this.actions.push(...request.actions);
              return {};
            }),
        },
        recordRefusals: {
          allow,
          handle: ({ refusals }) => {
            this.refusals.push(...refusals);
            return {};
          },
        },
      }),
    ];
  }
}

export function sampleSmtpUser(id: string): SmtpUser {
  return { id, username: 'shop', domain: '', allowedIps: [], dailyLimit: 0, createdAt: new Date(), lastUsedAt: undefined };
}

export function sampleUser(id: string): User {
  return {
    id,
    email: 'ada@example.com',
    role: Role.ROLE_OWNER,
    tenantId: newId('ten'),
    active: true,
    createdAt: new Date(),
    lastLoginAt: new Date(),
  };
}
