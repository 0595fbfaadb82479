// RegeneratePersonalAccessToken: another token, or the first. The one before it ends at every door with this transaction. The answer doesn't
// hold the new one, so a repeated request has nothing to keep but that it was done.
import type { RegeneratePersonalAccessTokenRequest, RegeneratePersonalAccessTokenResponse } from '@maildoot/proto/maildoot/auth/v1/user';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { callingTenant } from '../calling-tenant.ts';
import { repeatableOf, storedAnswer } from '../idempotent-answer.ts';
import { noSuchUser, numberedUser } from '../numbered-user.ts';
import { generatePersonalAccessToken, sealToken } from '../personal-access-token.ts';
import type { People } from '../store/people.ts';
import type { PersonalAccessTokens } from '../store/personal-access-tokens.ts';
import { telemetry } from '../telemetry.ts';

const operation = 'regenerate_personal_access_token';

export interface TokenMaker {
  people: People;
  tokens: PersonalAccessTokens;
  sealer: Sealer;
  clock: Clock;
}

export function regeneratePersonalAccessToken({ people, tokens, sealer, clock }: TokenMaker) {
  return async (request: RegeneratePersonalAccessTokenRequest, call: RpcCall): Promise<RegeneratePersonalAccessTokenResponse> => {
    const tenantId = callingTenant(call);
    const repeatable = repeatableOf(request);
    const user = await numberedUser(people, tenantId, request.userId);
    const now = clock.now();
    const { value, sha256 } = generatePersonalAccessToken();
    const { actorId, address } = request;
    const subjectId = uuidToId('usr', user.id);
    const once = await tokens.replace(
      { tenantId, userId: user.id, sha256, sealedValue: sealToken(sealer, value, user), createdAt: now },
      { tenantId, action: 'personal_access_token.regenerated', actorId, subjectId, address },
      repeatable && { tenantId, operation, ...repeatable, response: Buffer.alloc(0), now },
    );
    if (once.outcome === 'missing') throw noSuchUser();
    if (once.outcome !== 'done') {
      storedAnswer(once);
      return { replayed: true };
    }
    telemetry.tokenRegenerated(call.logger, subjectId);
    return { replayed: false };
  };
}
