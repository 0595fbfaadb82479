// UpdateTemplate: other names, a next version, or both.
import type { UpdateTemplateRequest, UpdateTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { noSuchTemplate } from '../errors.ts';
import { type Saver, updateTemplate as update } from '../save-template.ts';
import { shownTemplate } from '../shown-template.ts';
import { telemetry } from '../telemetry.ts';
import { referenceOf } from '../template-rules.ts';
import { existingVersion } from './get-template.ts';

export function updateTemplate(saver: Saver) {
  return async (request: UpdateTemplateRequest, call: RpcCall): Promise<UpdateTemplateResponse> => {
    const tenantId = callingTenant(call);
    const reference = referenceOf(request.id);
    if (reference === undefined) throw noSuchTemplate();
    const { name, alias, subject, html, text, draft } = request;
    const template = await update(saver, tenantId, reference, { name, alias, source: { subject, html, text }, draft });
    telemetry.saved(call.logger, 'changed');
    return { template: shownTemplate(template, await existingVersion(saver.store, tenantId, template, template.latestVersion)) };
  };
}
