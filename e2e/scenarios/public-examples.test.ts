/** The four examples of the public reference, cut from its text, run as they stand but for host and key, and their mail arrives. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { inherited, type Platform, startPlatform } from '../platform.ts';

const reference = readFileSync(new URL('../fixtures/public-reference.txt', import.meta.url), 'utf8');

/** From the line that starts with `first` to the next line that starts with `last`. */
function cut(first: string, last: string): string {
  const lines = reference.split('\n');
  const start = lines.findIndex((text) => text.startsWith(first));
  const end = lines.findIndex((text, index) => index >= start && text.startsWith(last));
  assert.ok(start >= 0 && end >= start, `the reference has no example from ${first} to ${last}`);
  return lines.slice(start, end + 1).join('\n');
}

const examples: { name: string; code: string; run(code: string, key: string): [string, string[]]; needs?: string[] }[] = [
  { name: 'curl', code: cut('curl ', "}'"), run: (code, key) => ['sh', ['-c', `${code.replace('mdsk_...', key)} -sS --fail-with-body`]] },
  {
    name: 'fetch',
    code: cut('const res = await fetch(', ');'),
    run: (code, key) => [
      process.execPath,
      ['--input-type=module', '-e', `const API_KEY = '${key}';\n${code}\nif (res.status !== 202) throw new Error(await res.text());`],
    ],
  },
  {
    name: 'Python requests',
    code: cut('import requests', ')'),
    needs: ['python3', '-c', 'import requests'],
    run: (code, key) => ['python3', ['-c', `API_KEY = '${key}'\n${code}\nassert res.status_code == 202, res.text`]],
  },
  {
    name: 'PHP',
    code: cut('$ch = curl_init', '$res = curl_exec'),
    needs: ['php', '-r', 'exit(function_exists("curl_init") ? 0 : 1);'],
    run: (code, key) => [
      'php',
      [
        '-r',
        `$API_KEY = '${key}';\n${code}\nif (curl_getinfo($ch, CURLINFO_RESPONSE_CODE) !== 202) { fwrite(STDERR, (string) $res); exit(1); }`,
      ],
    ],
  },
];

let platform: Platform;
before(async () => {
  platform = await startPlatform();
});
after(async () => {
  await platform[Symbol.asyncDispose]();
});

for (const example of examples) {
  const missing = example.needs && spawnSync(example.needs[0] as string, example.needs.slice(1)).status !== 0;
  test(`the ${example.name} example sends a message that arrives`, {
    skip: missing ? `this machine lacks: ${example.needs?.join(' ')}` : false,
  }, async () => {
    const code = example.code.replace('https://api.maildoot.net', platform.api);
    const [command, args] = example.run(code, platform.key);
    const { status, output } = await run(command, args);
    assert.equal(status, 0, output);

    const inbox = '/v1/test/inbox?to=user@example.com&wait=20&limit=1';
    const mail = await waitFor(
      async () => (await platform.call<{ data: { subject: string; html: string }[] }>('GET', inbox)).body.data[0],
      { what: 'the mail' },
    );
    assert.equal(mail.subject, 'Order Confirmed');
    assert.match(mail.html, /confirmed!/i);
  });
}

function run(command: string, args: string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: inherited(), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject).on('close', (status) => resolve({ status, output }));
  });
}
