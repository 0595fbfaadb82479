// RenderTemplates: what is sent; one call for all messages of a request.
import type { RenderTemplatesRequest, RenderTemplatesResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import type { Programs } from '../programs.ts';
import { maxItems, renderAll } from '../render.ts';
import type { RenderPool } from '../render-pool.ts';
import { telemetry } from '../telemetry.ts';

export function renderTemplates(parts: { programs: Programs; pool: RenderPool }) {
  return async ({ items }: RenderTemplatesRequest, call: RpcCall): Promise<RenderTemplatesResponse> => {
    if (items.length > maxItems) throw errors.VALIDATION_ERROR({ message: `At most ${maxItems} messages are rendered at a time.` });
    const beganMs = performance.now();
    const results = await renderAll(parts, callingTenant(call), items, call.signal);
    telemetry.rendered(results, performance.now() - beganMs);
    return { results };
  };
}
