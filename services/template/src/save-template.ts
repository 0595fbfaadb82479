// Saving a source: what may be wrong with it is found before it is kept, and then it never changes.
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid } from '@maildoot/runtime/ids';
import { aliasTaken, errors, noSuchTemplate, templateError, tooManyTemplates } from './errors.ts';
import { namesIn, type Programs } from './programs.ts';
import type { RenderPool } from './render-pool.ts';
import type { Source } from './source.ts';
import type { Created, NewVersion, Once, Reference, Repeatable, Store, StoredTemplate, StoredVersion } from './store.ts';
import { refuseBadNames, refuseBadSource } from './template-rules.ts';

export interface Saver {
  store: Store;
  programs: Programs;
  pool: RenderPool;
  clock: Clock;
}

/** How often a source is checked again because somebody else has saved one meanwhile. */
const maxTries = 5;

/** Parses a source with all that it names, and finds its variables. @throws RpcError TEMPLATE_ERROR with line and column */
async function checkSource({ programs, pool }: Saver, tenantId: string, templateId: string, source: Source): Promise<NewVersion> {
  refuseBadSource(source);
  const partials = await programs.partialsOf(tenantId, namesIn(source));
  const result = await pool.run(tenantId, { kind: 'check', program: { ...source, key: '', id: templateId, partials } });
  if (result.kind === 'refused') throw templateError(result.problems);
  if (result.kind !== 'checked') throw new Error(`checking a source came out as ${result.kind}`);
  return { ...source, partials: namesIn(source).filter((name) => partials.has(name)), variables: result.variables };
}

export async function createTemplate(
  saver: Saver,
  tenantId: string,
  given: { name: string; alias: string; source: Source; draft: boolean },
  repeatable: Repeatable<Created> | undefined,
): Promise<Once<Created>> {
  refuseBadNames(given);
  const id = newUuid();
  const checked = await checkSource(saver, tenantId, id, given.source);
  const now = saver.clock.now();
  const version: StoredVersion = { ...checked, templateId: id, number: 1, createdAt: now };
  const template: StoredTemplate = {
    id,
    name: given.name,
    alias: given.alias === '' ? null : given.alias,
    publishedVersion: given.draft ? null : 1,
    latestVersion: 1,
    createdAt: now,
    updatedAt: now,
  };
  return saver.store.insert(tenantId, { template, version }, repeatable, now);
}

/**
 * 1. read the newest version: what isn't given is taken over from it
 * 2. check the source that comes of it
 * 3. keep it as the next version, if nobody else has saved one meanwhile; otherwise begin again
 */
export async function updateTemplate(
  saver: Saver,
  tenantId: string,
  reference: Reference,
  given: {
    name: string | undefined;
    alias: string | undefined;
    source: { [part in keyof Source]: Source[part] | undefined };
    draft: boolean;
  },
): Promise<StoredTemplate> {
  refuseBadNames(given);
  const alias = given.alias === undefined ? undefined : given.alias === '' ? null : given.alias;
  for (let tries = 0; tries < maxTries; tries++) {
    const template = await saver.store.find(tenantId, reference);
    if (template === undefined) throw noSuchTemplate();
    let version: (NewVersion & { publish: boolean }) | undefined;
    if (Object.values(given.source).some((text) => text !== undefined)) {
      const base = await saver.store.findVersion(tenantId, template.id, template.latestVersion);
      if (base === undefined) continue;
      const source = {
        subject: given.source.subject ?? base.subject,
        html: given.source.html ?? base.html,
        text: given.source.text ?? base.text,
      };
      version = { ...(await checkSource(saver, tenantId, template.id, source)), publish: !given.draft };
    }
    const changed = await saver.store.update(tenantId, template, { name: given.name, alias, version }, saver.clock.now());
    switch (changed.outcome) {
      case 'done':
        return changed.value;
      case 'alias_taken':
        throw aliasTaken();
      case 'absent':
        throw noSuchTemplate();
      case 'changed_meanwhile':
        continue;
      case 'too_many':
        throw tooManyTemplates();
      default:
        changed satisfies never;
    }
  }
  throw errors.CONFLICT({ message: 'The template is being changed by others at the same time. Read it again, then decide.' });
}
