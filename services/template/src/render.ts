// Rendering what is sent: all messages of a request in one call, each for itself.
import type { RenderRequest, RenderResult } from '@maildoot/proto/maildoot/template/v1/template';
import { RpcError } from '@maildoot/rpc/errors';
import { uuidToId } from '@maildoot/runtime/ids';
import { errors, missingVariables, noSuchTemplate, noSuchVersion, templateError } from './errors.ts';
import { type Programs, programOf, versionKey } from './programs.ts';
import type { RenderPool } from './render-pool.ts';
import type { Problem, Program } from './source.ts';
import type { StoredVersion } from './store.ts';
import { maxVariablesBytes } from './template-rules.ts';

export const maxItems = 1000;
/** An RPC carries 64 MB. */
const maxAnswerBytes = 48 * 1024 * 1024;
/** For all items together; callers wait for 15 s. */
const budgetMs = 8_000;
/** A template that has run into a limit so often is not tried with the request's other variables. */
const maxStrikes = 2;

/** Results in the order of the items. @throws RpcError OVERLOADED, UNAVAILABLE */
export async function renderAll(
  { programs, pool }: { programs: Programs; pool: RenderPool },
  tenantId: string,
  items: readonly RenderRequest[],
  signal: AbortSignal,
): Promise<RenderResult[]> {
  const beganMs = performance.now();
  const loaded = await load(programs, tenantId, items);
  const strikes = new Map<Program, Problem[][]>();
  const results: RenderResult[] = [];
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    const found = loaded[index];
    if (found === undefined) throw new Error('an item was not looked up');
    if (found instanceof RpcError) {
      results.push(failed(found));
      continue;
    }
    const { program, version } = found;
    const refusal = refusalOf(item, strikes.get(program) ?? [], performance.now() - beganMs, bytes);
    if (refusal !== undefined) {
      results.push(failed(refusal));
      continue;
    }
    const result = await pool.run(tenantId, { kind: 'fill', program, variables: item.variablesJson }, signal);
    if (result.kind === 'refused') {
      if (result.problems.some(({ code }) => code === 'time_limit' || code === 'memory_limit'))
        strikes.set(program, [...(strikes.get(program) ?? []), result.problems]);
      results.push(failed(templateError(result.problems)));
    } else if (result.kind === 'no_object') {
      results.push(failed(noObject()));
    } else if (result.kind !== 'filled') {
      throw new Error(`rendering came out as ${result.kind}`);
    } else if (result.missing.length > 0) {
      results.push(failed(missingVariables(result.missing)));
    } else {
      const { subject, html, text } = result;
      bytes += Buffer.byteLength(html) + Buffer.byteLength(text);
      const templateId = uuidToId('tpl', version.templateId);
      results.push({ result: { $case: 'rendered', value: { subject, html, text, templateId, templateVersion: version.number } } });
    }
  }
  return results;
}

type Loaded = { program: Program; version: StoredVersion } | RpcError;

async function load(programs: Programs, tenantId: string, items: readonly RenderRequest[]): Promise<Loaded[]> {
  const heads = await programs.heads(tenantId, [...new Set(items.map(({ template }) => template))]);
  const wanted = items.map(({ template, version }) => {
    const head = heads.get(template);
    const number = version === 0 ? head?.publishedVersion : version;
    return head === undefined || number === null || number === undefined ? undefined : { templateId: head.id, number };
  });
  const versions = await programs.versions(
    tenantId,
    wanted.flatMap((one) => one ?? []),
  );
  const partials = await programs.partialsOf(tenantId, [...new Set([...versions.values()].flatMap((version) => version.partials))]);
  // One program per version, however many items have it.
  const made = new Map<string, { program: Program; version: StoredVersion }>();
  for (const [key, version] of versions) made.set(key, { program: programOf(version, partials), version });
  return items.map(({ template, version }, index) => {
    const one = wanted[index];
    if (!heads.has(template)) return noSuchTemplate();
    return (one && made.get(versionKey(one))) ?? noSuchVersion(version);
  });
}

function refusalOf(item: RenderRequest, strikes: readonly Problem[][], spentMs: number, bytes: number): RpcError | undefined {
  if (item.variablesJson.length > maxVariablesBytes) {
    const message = `Variables have at most ${maxVariablesBytes / 1024} KB as JSON.`;
    return errors.VALIDATION_ERROR({ message, issues: [{ path: 'variables', code: 'too_large', message }] });
  }
  if (strikes.length >= maxStrikes) return templateError(strikes[0] ?? []);
  if (spentMs > budgetMs)
    return errors.TEMPLATE_ERROR({ message: 'The templates of this request take too long together. Send fewer messages at a time.' });
  if (bytes > maxAnswerBytes)
    return errors.PAYLOAD_TOO_LARGE({ message: 'The rendered messages of this request are too large together. Send fewer at a time.' });
  return undefined;
}

export function noObject(): RpcError {
  const message = 'The variables must be an object.';
  return errors.VALIDATION_ERROR({ message, issues: [{ path: 'variables', code: 'invalid_type', message }] });
}

function failed(error: RpcError): RenderResult {
  return { result: { $case: 'error', value: error.detail } };
}
