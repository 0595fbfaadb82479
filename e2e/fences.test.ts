// Following a page: everything on it is run and looked at, and what goes wrong is told with its line.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { follow, type Reader, stepsOf } from './fences.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'maildoot-pages-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const reader: Reader = { env: () => ({ NAME: 'Ada' }), replaced: { '8080': '9090' }, elsewhere: {}, links: {} };
const fence = (info: string, text: string): string => `\`\`\`${info}\n${text}\n\`\`\`\n`;

async function followed(...parts: string[]): Promise<number> {
  const page = join(directory, 'page.md');
  await writeFile(page, `# Page\n\n${parts.join('\n')}`);
  return follow(page, reader);
}

test('one shell runs all fences, in order; files are saved where it stands', async () => {
  const count = await followed(
    fence('sh', 'WHO="$NAME 8080"; mkdir there; cd there'),
    fence('js say.mjs', 'console.log("Hello", process.argv[2]);'),
    fence('sh', 'node say.mjs "$WHO"'),
    fence('text', 'Hello Ada 8080'),
    fence('sh', 'echo \'{"a": [1]}\''),
    fence('json', '{ "a": [1] }'),
  );
  assert.equal(count, 3);
});

test('what takes a while is asked again', async () => {
  await followed(fence('sh', '(sleep 0.3; echo done > late.txt) &'), fence('sh again', 'cat late.txt'), fence('text', 'done'));
});

test('what the reader does elsewhere is done, and only what is known', async () => {
  let done = 0;
  const page = join(directory, 'elsewhere.md');
  await writeFile(page, '<!-- reader: publishes -->\n');
  await follow(page, { ...reader, elsewhere: { publishes: async () => void done++ } });
  assert.equal(done, 1);
  await assert.rejects(follow(page, reader), /elsewhere\.md:1: nobody knows how the reader publishes/);
});

const wrong: [why: string, parts: string[], problem: RegExp][] = [
  ['a command that there is not', [fence('sh', 'curll')], /page\.md:3: a command failed[\s\S]*curll: command not found/],
  ['a command that fails in the middle', [fence('sh', 'false\ntrue')], /a command failed/],
  ['another output than is shown', [fence('sh', 'echo one'), fence('text', 'two')], /not what the page shows[\s\S]*one[\s\S]*two/],
  ['an output that is not shown', [fence('sh', 'echo one')], /printed that the page does not show/],
  ['an output that does not come', [fence('sh', 'true'), fence('text', 'two')], /not what the page shows/],
  ['a package that nobody knows', [fence('sh', 'npm install nodemaller')], /there is no nodemaller here/],
];
for (const [why, parts, problem] of wrong) {
  test(`is told: ${why}`, async () => {
    await assert.rejects(followed(...parts), problem);
  });
}

test('a fence that would not be looked at is refused', () => {
  assert.throws(() => stepsOf(fence('json', '{}')), /line 1: a fence that nothing runs/);
  assert.throws(() => stepsOf(fence('sh', 'true') + fence('text', '') + fence('text', '')), /line 7/);
  assert.throws(() => stepsOf(fence('js', 'console.log(1)')), /nothing runs/);
});
