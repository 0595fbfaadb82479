// GetTemplate: one template with one of its versions.
import type { GetTemplateRequest, GetTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { noSuchTemplate, noSuchVersion } from '../errors.ts';
import { shownTemplate } from '../shown-template.ts';
import type { Store, StoredTemplate, StoredVersion } from '../store.ts';
import { referenceOf } from '../template-rules.ts';

export function getTemplate({ store }: { store: Store }) {
  return async (request: GetTemplateRequest, call: RpcCall): Promise<GetTemplateResponse> => {
    const tenantId = callingTenant(call);
    const template = await existing(store, tenantId, request.id);
    const number = request.version || template.publishedVersion || template.latestVersion;
    return { template: shownTemplate(template, await existingVersion(store, tenantId, template, number)) };
  };
}

/** @throws RpcError NOT_FOUND */
export async function existing(store: Store, tenantId: string, name: string): Promise<StoredTemplate> {
  const reference = referenceOf(name);
  const template = reference && (await store.find(tenantId, reference));
  if (template === undefined) throw noSuchTemplate();
  return template;
}

/** @throws RpcError NOT_FOUND */
export async function existingVersion(store: Store, tenantId: string, { id }: StoredTemplate, number: number): Promise<StoredVersion> {
  const version = await store.findVersion(tenantId, id, number);
  if (version === undefined) throw noSuchVersion(number);
  return version;
}
