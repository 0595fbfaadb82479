// ResetSmtpPassword: a new password, shown once; the old one ends at once.
import { type ResetSmtpPasswordRequest, ResetSmtpPasswordResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { repeatableOf } from '../idempotent-answer.ts';
import { manageable, noSuchUser } from '../manageable-smtp-user.ts';
import { sealedAnswers } from '../sealed-answer.ts';
import { newSmtpPassword, shownSmtpUser } from '../smtp-user.ts';
import type { SmtpUserMaker } from './create-smtp-user.ts';

const operation = 'reset_smtp_password';

export function resetSmtpPassword(maker: SmtpUserMaker) {
  const { smtpUsers, clock } = maker;
  return async (request: ResetSmtpPasswordRequest, call: RpcCall): Promise<ResetSmtpPasswordResponse> => {
    const tenantId = callingTenant(call);
    const answers = sealedAnswers(maker, ResetSmtpPasswordResponse, { tenantId, operation, now: clock.now() }, repeatableOf(request));
    const user = await manageable(smtpUsers, tenantId, request);
    const before = await answers.before();
    if (before !== undefined) return before;
    const { password, sha256 } = newSmtpPassword(user.username);
    const entry = {
      tenantId,
      action: 'smtp_user.password_reset',
      actorId: request.actorId,
      subjectId: request.id,
      address: request.address,
    } as const;
    const response: ResetSmtpPasswordResponse = { smtpUser: shownSmtpUser(user), password, replayed: false };
    const once = await smtpUsers.replacePassword({ tenantId, id: user.id, sha256 }, entry, answers.toKeep(response));
    if (once.outcome === 'missing') throw noSuchUser();
    return once.outcome === 'done' ? response : answers.instead(once);
  };
}
