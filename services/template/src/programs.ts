// Programs: a version with all that it names, read from the database. Versions never change, so those that have been read are kept; what a name
// stands for is asked each time, because whoever has just published something sends that.
import type { Partial, Program, Source } from './source.ts';
import type { Head, Reference, Store, StoredVersion } from './store.ts';
import { referenceOf } from './template-rules.ts';

/** About so many characters of source are kept. */
const keptChars = 8_000_000;
/** A program with more than this in it is refused where it is saved: what isn't loaded isn't there. */
const maxPartials = 50;
const maxLevels = 12;

export interface Programs {
  /** The templates that these texts name, directly or by others, by the names in the texts. */
  partialsOf(tenantId: string, names: readonly string[]): Promise<Map<string, LoadedPartial>>;
  /** Versions by `<template id>:<number>`; those that aren't there are left out. */
  versions(tenantId: string, wanted: readonly { templateId: string; number: number }[]): Promise<Map<string, StoredVersion>>;
  /** What the references stand for, by the text of each. */
  heads(tenantId: string, texts: readonly string[]): Promise<Map<string, Head>>;
}

export interface LoadedPartial extends Partial {
  number: number;
}

export function createPrograms(store: Store): Programs {
  const kept = new Map<string, StoredVersion>();
  let chars = 0;

  async function versions(
    tenantId: string,
    wanted: readonly { templateId: string; number: number }[],
  ): Promise<Map<string, StoredVersion>> {
    const found = new Map<string, StoredVersion>();
    const unknown = new Map<string, { templateId: string; number: number }>();
    for (const one of wanted) {
      const key = versionKey(one);
      const version = kept.get(`${tenantId} ${key}`);
      if (version === undefined) unknown.set(key, one);
      else found.set(key, version);
    }
    if (unknown.size === 0) return found;
    for (const version of await store.findVersions(tenantId, [...unknown.values()])) {
      const key = versionKey(version);
      found.set(key, version);
      keep(`${tenantId} ${key}`, version);
    }
    return found;
  }

  function keep(key: string, version: StoredVersion): void {
    if (kept.has(key)) return;
    kept.set(key, version);
    chars += charsOf(version);
    for (const [oldest, { subject, html, text }] of kept) {
      if (chars <= keptChars || oldest === key) return;
      kept.delete(oldest);
      chars -= charsOf({ subject, html, text });
    }
  }

  async function heads(tenantId: string, texts: readonly string[]): Promise<Map<string, Head>> {
    const references = new Map<string, Reference>();
    for (const text of texts) {
      const reference = referenceOf(text);
      if (reference !== undefined) references.set(text, reference);
    }
    const found = new Map<string, Head>();
    if (references.size === 0) return found;
    const rows = await store.findHeads(tenantId, [...references.values()]);
    for (const [text, reference] of references) {
      const head = rows.find((row) => ('id' in reference ? row.id === reference.id : row.alias === reference.alias));
      if (head !== undefined) found.set(text, head);
    }
    return found;
  }

  return {
    versions,
    heads,
    async partialsOf(tenantId, names) {
      const partials = new Map<string, LoadedPartial>();
      let level = new Set(names);
      // Most templates name none, or some that name none: that is one question for the heads, and versions are mostly known.
      for (let depth = 0; level.size > 0 && depth < maxLevels; depth++) {
        const found = await heads(tenantId, [...level].slice(0, maxPartials));
        const published = [...found].flatMap(([name, { id, publishedVersion }]) =>
          publishedVersion === null ? [] : [{ name, templateId: id, number: publishedVersion }],
        );
        const sources = await versions(tenantId, published);
        const nextLevel = new Set<string>();
        for (const { name, ...one } of published) {
          const version = sources.get(versionKey(one));
          if (version === undefined || partials.size >= maxPartials) continue;
          partials.set(name, { id: version.templateId, number: version.number, html: version.html, text: version.text });
          for (const further of version.partials) if (!partials.has(further)) nextLevel.add(further);
        }
        level = new Set([...nextLevel].filter((name) => !partials.has(name)));
      }
      return partials;
    },
  };
}

export function versionKey({ templateId, number }: { templateId: string; number: number }): string {
  return `${templateId}:${number}`;
}

/** The program of a version that is kept. */
export function programOf(version: StoredVersion, all: ReadonlyMap<string, LoadedPartial>): Program {
  const partials = new Map<string, Partial>();
  let key = versionKey(version);
  const add = (names: readonly string[]): void => {
    for (const name of names) {
      const partial = all.get(name);
      if (partial === undefined || partials.has(name)) continue;
      partials.set(name, { id: partial.id, html: partial.html, text: partial.text });
      key += ` ${name}=${partial.id}:${partial.number}`;
      add(namesIn(partial));
    }
  };
  add(version.partials);
  const { subject, html, text, templateId } = version;
  return { key, id: templateId, subject, html, text, partials };
}

/** The names of other templates in a source; at times too many, never too few. */
export function namesIn(source: Pick<Source, 'html' | 'text'> & { subject?: string }): string[] {
  const names = new Set<string>();
  for (const text of [source.subject ?? '', source.html, source.text]) {
    for (const [, , name = ''] of text.matchAll(/\b(?:render|include|layout)\s*(["'])([A-Za-z0-9._-]{1,100})\1/g)) {
      if (names.size < maxPartials) names.add(name);
    }
  }
  return [...names];
}

function charsOf({ subject, html, text }: Source): number {
  return subject.length + html.length + text.length;
}
