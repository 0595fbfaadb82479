// PreviewTemplate: what would be sent, also of a draft. What is missing is blank and named.
import type { PreviewTemplateRequest, PreviewTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidToId } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { templateError } from '../errors.ts';
import { type Programs, programOf } from '../programs.ts';
import { noObject } from '../render.ts';
import type { RenderPool } from '../render-pool.ts';
import type { Store } from '../store.ts';
import { existing, existingVersion } from './get-template.ts';

export function previewTemplate({ store, programs, pool }: { store: Store; programs: Programs; pool: RenderPool }) {
  return async (request: PreviewTemplateRequest, call: RpcCall): Promise<PreviewTemplateResponse> => {
    const tenantId = callingTenant(call);
    const template = await existing(store, tenantId, request.id);
    const version = await existingVersion(store, tenantId, template, request.version || template.latestVersion);
    const program = programOf(version, await programs.partialsOf(tenantId, version.partials));
    const result = await pool.run(tenantId, { kind: 'fill', program, variables: request.variablesJson }, call.signal);
    if (result.kind === 'refused') throw templateError(result.problems);
    if (result.kind === 'no_object') throw noObject();
    if (result.kind !== 'filled') throw new Error(`rendering came out as ${result.kind}`);
    const { subject, html, text, missing } = result;
    const rendered = { subject, html, text, templateId: uuidToId('tpl', template.id), templateVersion: version.number };
    return { rendered, missingVariables: missing };
  };
}
