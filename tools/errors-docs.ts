/**
 * Writes the closed list of errors into docs/concepts/errors.md, between `<!-- errors -->` and `<!-- /errors -->`, from the table that the gateway
 * answers by. With --check it writes nothing and fails where the list is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { errorTable } from '../services/gateway/src/errors.ts';

const page = new URL('../docs/concepts/errors.md', import.meta.url);
const rows = Object.entries(errorTable).map(([code, { status, meaning, remedy }]) => `| ${status} | \`${code}\` | ${meaning} ${remedy} |`);
const list = `| status | code | what happened, and what to do |\n| --- | --- | --- |\n${rows.join('\n')}`;

const text = readFileSync(page, 'utf8');
const next = text.replace(/<!-- errors -->[\s\S]*?<!-- \/errors -->/, () => `<!-- errors -->\n${list}\n<!-- /errors -->`);
if (next !== text && process.argv.includes('--check')) {
  process.stderr.write(`${page.pathname}: the list of errors is out of date; run: node tools/errors-docs.ts\n`);
  process.exitCode = 1;
} else if (next !== text) writeFileSync(page, next);
