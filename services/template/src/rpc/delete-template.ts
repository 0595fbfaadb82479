// DeleteTemplate: the template and all its versions. What was accepted with it has its MIME already.
import type { DeleteTemplateRequest, DeleteTemplateResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { noSuchTemplate } from '../errors.ts';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';
import { referenceOf } from '../template-rules.ts';

export function deleteTemplate({ store }: { store: Store }) {
  return async (request: DeleteTemplateRequest, call: RpcCall): Promise<DeleteTemplateResponse> => {
    const reference = referenceOf(request.id);
    if (reference === undefined || !(await store.remove(callingTenant(call), reference))) throw noSuchTemplate();
    telemetry.saved(call.logger, 'deleted');
    return {};
  };
}
