// PublishTemplate: makes a version the one that is sent. An older one too: that is how to go back.
import { type PublishTemplateRequest, PublishTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { callingTenant } from '../calling-tenant.ts';
import { noSuchTemplate } from '../errors.ts';
import { earlierAnswer, idempotencyRequest, outcomeOf } from '../repeatable.ts';
import { shownTemplate } from '../shown-template.ts';
import type { Store, StoredTemplate } from '../store.ts';
import { telemetry } from '../telemetry.ts';
import { existing, existingVersion } from './get-template.ts';

export function publishTemplate({ store, clock }: { store: Store; clock: Clock }) {
  return async (request: PublishTemplateRequest, call: RpcCall): Promise<PublishTemplateResponse> => {
    const tenantId = callingTenant(call);
    const repeated = idempotencyRequest(tenantId, 'publish_template', request);
    const earlier = await earlierAnswer(store, repeated, clock.now());
    if (earlier !== undefined) return { ...PublishTemplateResponse.decode(earlier), replayed: true };

    const template = await existing(store, tenantId, request.id);
    const version = await existingVersion(store, tenantId, template, request.version || template.latestVersion);
    const answerOf = (published: StoredTemplate): PublishTemplateResponse => ({
      template: shownTemplate(published, version),
      replayed: false,
    });
    const repeatable = repeated && {
      request: repeated,
      answer: (published: StoredTemplate) => PublishTemplateResponse.encode(answerOf(published)).finish(),
    };
    const outcome = outcomeOf(await store.publish(tenantId, template.id, version.number, repeatable, clock.now()), noSuchTemplate);
    if ('stored' in outcome) return { ...PublishTemplateResponse.decode(outcome.stored), replayed: true };
    telemetry.saved(call.logger, 'published');
    return answerOf(outcome.value);
  };
}
