// Messages that name a template get their subject and bodies from it, before their MIME is frozen: one question for all messages of a request.
// What the template service refuses is an error of that message alone.
import type { ErrorDetail, Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcClient } from '@maildoot/rpc/client';
import { RpcError } from '@maildoot/rpc/errors';
import { type Draft, failed, openOnes } from './draft.ts';
import { errors } from './errors.ts';

export type TemplateRenderer = Pick<RpcClient<typeof TemplateServiceService>, 'renderTemplates'>;

/** Rendering a thousand messages may take 8 s there. The caller of AcceptMessages waits for 15. */
const deadlineMs = 11_000;

/** Fills in the open drafts that name a template. @throws RpcError UNAVAILABLE, OVERLOADED when nothing can be rendered now */
export async function fillTemplates(
  drafts: readonly Draft[],
  caller: { tenantId: string; requestId: string },
  renderer: TemplateRenderer | undefined,
): Promise<void> {
  const wanting = openOnes(drafts).filter(({ outgoing }) => outgoing.templateId !== '');
  if (wanting.length === 0) return;
  const items = wanting.map(({ outgoing: { templateId, templateVersion, variablesJson } }) => ({
    template: templateId,
    version: templateVersion,
    variablesJson,
  }));
  const { results } = await ask(renderer, items, caller);
  for (const [index, draft] of wanting.entries()) {
    const result = results[index]?.result;
    if (result?.$case === 'error') draft.result = failed(refusalOf(result.value));
    else if (result?.$case !== 'rendered') throw new Error('the template service answered without a result');
    else {
      const { subject, html, text, templateId, templateVersion } = result.value;
      if (html.trim() === '' && text.trim() === '') draft.result = failed(empty());
      else Object.assign(draft.outgoing, { subject, html, text, templateId, templateVersion });
    }
  }
}

async function ask(
  renderer: TemplateRenderer | undefined,
  items: Parameters<TemplateRenderer['renderTemplates']>[0]['items'],
  { tenantId, requestId }: { tenantId: string; requestId: string },
) {
  if (renderer === undefined) throw errors.UNAVAILABLE({ message: 'This installation has no templates: TEMPLATE_ADDRESS is not set.' });
  try {
    return await renderer.renderTemplates({ items }, { tenantId, requestId, deadlineMs });
  } catch (cause) {
    if (!(cause instanceof RpcError && ['UNAVAILABLE', 'TIMEOUT', 'OVERLOADED'].includes(cause.code))) throw cause;
    // Nothing has been kept yet, so a question that got no answer in time is no TIMEOUT of this call.
    const make = cause.code === 'OVERLOADED' ? errors.OVERLOADED : errors.UNAVAILABLE;
    throw make({
      message: 'Templates can’t be rendered at the moment. Try again shortly.',
      ...(cause.retryAfterMs === undefined ? {} : { retryAfterMs: cause.retryAfterMs }),
      cause,
    });
  }
}

function refusalOf(detail: ErrorDetail): RpcError {
  const { code, message, issues } = detail;
  switch (code) {
    case 'TEMPLATE_ERROR':
      return errors.TEMPLATE_ERROR({ message, issues });
    case 'MISSING_VARIABLES':
      return errors.MISSING_VARIABLES({ message, issues });
    case 'PAYLOAD_TOO_LARGE':
      return errors.PAYLOAD_TOO_LARGE({ message, issues });
    // A field of this message names what isn't there: the message is wrong, and is where its caller said.
    case 'NOT_FOUND':
      return errors.VALIDATION_ERROR({ message, issues: issues.map(inMessage) });
    case 'VALIDATION_ERROR':
      return errors.VALIDATION_ERROR({ message, issues });
    default:
      throw new Error(`the template service answered ${code} for a message`);
  }
}

function inMessage(issue: Issue): Issue {
  return { ...issue, path: issue.path === 'version' ? 'template_version' : 'template_id' };
}

function empty(): RpcError {
  const message = 'With these variables the template is empty. Nothing is sent blank.';
  return errors.TEMPLATE_ERROR({ message, issues: [{ path: 'variables', code: 'empty', message }] });
}
