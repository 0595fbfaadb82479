// What auth knows of API keys and tokens, kept in memory, and the streams on which it tells that they have ended.
import assert from 'node:assert/strict';
import { AuthServiceService, type Principal, Scope, type WatchRevocationsResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import { UserServiceService } from '@maildoot/proto/maildoot/auth/v1/user';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { sampleUser } from './fake-people.ts';
import { type Answer, errors } from './fake-tenant.ts';

/** Who watches revocations. */
export class Revocations {
  readonly #watchers = new Set<{ tell(frame: WatchRevocationsResponse): void; end(): void }>();

  /** How many streams are open. */
  get watching(): number {
    return this.#watchers.size;
  }

  tell(frame: WatchRevocationsResponse): void {
    for (const watcher of this.#watchers) watcher.tell(frame);
  }

  end(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  async *watch(signal: AbortSignal): AsyncGenerator<WatchRevocationsResponse> {
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
}

/** Principals by the hash of their key or token. */
export function authServices(answer: Answer, principals: ReadonlyMap<string, Principal>, revocations: Revocations): ImplementedService[] {
  const allow = ['gateway'];
  const auth = implement(AuthServiceService, {
    authenticate: {
      allow,
      handle: (request, call) =>
        answer('authenticate', request, call, () => {
          const principal = principals.get(request.keySha256.toString('hex'));
          if (!principal) throw errors.INVALID_TOKEN({ message: 'no' });
          return { principal };
        }),
    },
    createApiKey: {
      allow,
      handle: (request, call) =>
        answer('createApiKey', request, call, (tenant) => {
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
        answer('listApiKeys', request, call, (tenant) => ({
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
        answer('revokeApiKey', request, call, (tenant) => {
          if (!tenant.keyIds.delete(request.id)) throw errors.NOT_FOUND({ message: 'There is no API key with this id.' });
          return {};
        }),
    },
    watchRevocations: { allow, handle: (_request, call) => revocations.watch(call.signal) },
    createTenant: { allow: ['operator'], handle: () => assert.fail('nobody makes tenants here') },
  });
  const user = implement(UserServiceService, {
    getUser: {
      allow,
      handle: (request, call) =>
        answer('getUser', request, call, () => ({
          user: sampleUser(request.userId || newId('usr')),
          number: 17,
          suspended: false,
        })),
    },
    getPersonalAccessToken: {
      allow,
      handle: (request, call) =>
        answer('getPersonalAccessToken', request, call, () => ({
          token: { userNumber: 17, value: `pat_${'t'.repeat(43)}`, createdAt: new Date() },
        })),
    },
    regeneratePersonalAccessToken: {
      allow,
      handle: (request, call) => answer('regeneratePersonalAccessToken', request, call, () => ({ replayed: false })),
    },
    authenticatePersonalAccessToken: {
      allow,
      handle: (request, call) =>
        answer('authenticatePersonalAccessToken', request, call, () => {
          const principal = principals.get(request.tokenSha256.toString('hex'));
          if (!principal) throw errors.INVALID_TOKEN({ message: 'no' });
          return { principal };
        }),
    },
  });
  return [auth, user];
}
