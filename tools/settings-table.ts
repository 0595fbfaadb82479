/**
 * Writes the tables of settings into the READMEs that have a place for one, between `<!-- settings -->` and `<!-- /settings -->`, from the descriptions that the
 * processes themselves read. With --check it writes nothing and fails where a table is out of date.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Settings, settingsTable } from '../libs/runtime/src/config.ts';

const BLOCK = /<!-- settings -->[\s\S]*?<!-- \/settings -->/;
const root = new URL('../', import.meta.url);
const check = process.argv.includes('--check');

const pages: { readme: URL; config: URL }[] = [
  { readme: new URL('README.md', root), config: new URL('services/standalone/src/config.ts', root) },
];
for (const service of readdirSync(new URL('services/', root))) {
  if (service === 'standalone') continue;
  pages.push({ readme: new URL(`services/${service}/README.md`, root), config: new URL(`services/${service}/src/config.ts`, root) });
}

let stale = 0;
for (const { readme, config } of pages) {
  const text = readFileSync(readme, 'utf8');
  const { settings } = (await import(config.href)) as { settings: Settings };
  const next = text.replace(BLOCK, () => `<!-- settings -->\n${settingsTable(settings).trimEnd()}\n<!-- /settings -->`);
  if (next === text) continue;
  if (!check) writeFileSync(readme, next);
  else {
    stale++;
    process.stderr.write(`${readme.pathname}: the table of settings is out of date; run: node tools/settings-table.ts\n`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;
