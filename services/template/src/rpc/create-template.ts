// CreateTemplate: a template with its first version.
import { type CreateTemplateRequest, CreateTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { earlierAnswer, idempotencyRequest, outcomeOf } from '../repeatable.ts';
import { createTemplate as create, type Saver } from '../save-template.ts';
import { shownTemplate } from '../shown-template.ts';
import type { Created } from '../store.ts';
import { telemetry } from '../telemetry.ts';

export function createTemplate(saver: Saver) {
  return async (request: CreateTemplateRequest, call: RpcCall): Promise<CreateTemplateResponse> => {
    const tenantId = callingTenant(call);
    const repeated = idempotencyRequest(tenantId, 'create_template', request);
    const earlier = await earlierAnswer(saver.store, repeated, saver.clock.now());
    if (earlier !== undefined) return { ...CreateTemplateResponse.decode(earlier), replayed: true };

    const { name, alias, subject, html, text, draft } = request;
    const repeatable = repeated && {
      request: repeated,
      answer: (created: Created) => CreateTemplateResponse.encode(answerOf(created)).finish(),
    };
    const once = await create(saver, tenantId, { name, alias, source: { subject, html, text }, draft }, repeatable);
    const outcome = outcomeOf(once, () => new Error('a template that was made is absent'));
    if ('stored' in outcome) return { ...CreateTemplateResponse.decode(outcome.stored), replayed: true };
    telemetry.saved(call.logger, 'created');
    return answerOf(outcome.value);
  };
}

function answerOf({ template, version }: Created): CreateTemplateResponse {
  return { template: shownTemplate(template, version), replayed: false };
}
