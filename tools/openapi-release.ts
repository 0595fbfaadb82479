/**
 * docs/openapi.json is the OpenAPI document of the last release, and what clients were written to. Without options this makes the document of
 * now the released one, and writes what is new into docs/changelog.md; a breaking change it refuses, once there is a release (a tag v*). With
 * --check it writes nothing, and fails where the document of now breaks what was released, or where the changelog doesn't have what is
 * deprecated; --changelog writes only that.
 */
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { deprecationText, isDeprecated } from '../services/gateway/src/deprecation.ts';
import { openapiDocument } from '../services/gateway/src/openapi.ts';
import type { Route } from '../services/gateway/src/route.ts';
import { routes } from '../services/gateway/src/routes.ts';
import { compare } from './openapi-compare.ts';
import type { Finding, Json, JsonObject } from './openapi-schemas.ts';

const releasedFile = new URL('../docs/openapi.json', import.meta.url);
const changelogFile = new URL('../docs/changelog.md', import.meta.url);
const publicUrl = 'https://api.example.com';

/** The document as it is served, at an address that is nobody's. */
export function documentOfNow(): JsonObject {
  return JSON.parse(JSON.stringify(openapiDocument(routes, publicUrl))) as JsonObject;
}

export async function releasedDocument(): Promise<JsonObject> {
  return JSON.parse(await readFile(releasedFile, 'utf8')) as JsonObject;
}

const [begin, end] = ['<!-- deprecated -->', '<!-- /deprecated -->'];

/** The changelog with what is deprecated now. */
export function withDeprecated(changelog: string, all: readonly Route[]): string {
  const lines = all
    .filter(isDeprecated)
    .toSorted((one, other) => one.deprecated.sunset.localeCompare(other.deprecated.sunset))
    .map((route) => `- \`${route.method} ${route.path}\`: ${deprecationText(route, all)}`);
  const text = lines.length === 0 ? 'Nothing is deprecated.' : lines.join('\n');
  const [before, rest = ''] = changelog.split(begin);
  const after = rest.split(end)[1];
  if (after === undefined) throw new Error(`docs/changelog.md has no ${begin} … ${end}`);
  return `${before}${begin}\n${text}\n${end}${after}`;
}

/** The changelog with a release: what is new in it stands before the older ones. */
export function withRelease(changelog: string, day: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return changelog;
  const lines = findings.map(({ where, what }) => `- ${where}: ${what}`);
  const at = changelog.indexOf(end) + end.length;
  return `${changelog.slice(0, at)}\n\n## ${day}\n\n${lines.join('\n')}${changelog.slice(at)}`;
}

/** JSON in which each answer of an operation, and each schema, is a line. */
export function printed(value: Json, depth = 5): string {
  if (depth === 0 || typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value);
  const entries = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${printed(inner, depth - 1)}`);
  return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n}`;
}

/** Where no tags can be seen, a promise counts as given. */
function isReleased(): boolean {
  const { status, stdout } = spawnSync('git', ['tag', '--list', 'v*'], { encoding: 'utf8' });
  return status !== 0 || stdout.trim() !== '';
}

function shown({ where, what }: Finding): string {
  return `  ${where}: ${what}`;
}

async function main(): Promise<number> {
  const today = new Date().toISOString().slice(0, 10);
  const now = documentOfNow();
  const findings = compare(await releasedDocument(), now, today);
  const breaking = findings.filter(({ weight }) => weight === 'breaking');
  const warnings = findings.filter(({ weight }) => weight === 'warning');
  const changelog = await readFile(changelogFile, 'utf8');
  if (warnings.length > 0) console.log(`clients may stumble over this:\n${warnings.map(shown).join('\n')}`);
  if (breaking.length > 0) {
    console.error(`this breaks what docs/openapi.json promises, and /v1 never breaks:\n${breaking.map(shown).join('\n')}`);
    if (isReleased()) return 1;
    console.error('there is no release yet: make openapi-release promises what is served now');
    if (process.argv.includes('--check')) return 1;
  }
  if (process.argv.includes('--check')) {
    if (withDeprecated(changelog, routes) === changelog) return 0;
    console.error('docs/changelog.md does not say what is deprecated: run node tools/openapi-release.ts --changelog');
    return 1;
  }
  if (process.argv.includes('--changelog')) {
    await writeFile(changelogFile, withDeprecated(changelog, routes));
    return 0;
  }
  await writeFile(releasedFile, `${printed(now)}\n`);
  await writeFile(changelogFile, withRelease(withDeprecated(changelog, routes), today, isReleased() ? findings : []));
  console.log(`docs/openapi.json is the document of ${today}: ${findings.length} changes, ${breaking.length} of them breaking`);
  return 0;
}

if (import.meta.main) process.exitCode = await main();
