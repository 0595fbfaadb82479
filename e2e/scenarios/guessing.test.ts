/** Ten thousand logins and ten thousand keys against the doors (GUESSES of each): slowed, nothing told, and nobody else waits longer for it. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

const TRIES = Number(process.env.GUESSES ?? 10_000);
const AT_ONCE = 16;

interface Answer {
  status: number;
  text: string;
}

test('guessing passwords and keys is slowed, reveals nothing, and harms nobody', { timeout: 900_000 }, async (t) => {
  await using platform = await startPlatform();
  const { hostname, port } = new URL(platform.api);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const ask = (method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request({ agent, hostname, port, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: text.replace(/req_[0-9a-z]{26}/, '') }));
      });
      sent.on('error', reject).end(body);
    });
  await createTenant(platform, 'ada@tenant.example');

  /** Somebody who has done nothing: how long their requests take. */
  const bystander = async (during: Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    let over = false;
    void during.finally(() => (over = true));
    do {
      const startedAt = performance.now();
      assert.equal((await platform.call('GET', '/v1/messages')).status, 200);
      times.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, 20));
    } while (!over || times.length < 100);
    return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? Number.NaN;
  };
  // All 401s of a flood, but for the id of the request.
  const refusals = { known: new Set<string>(), unknown: new Set<string>() };
  const flood = async (one: (index: number) => Promise<Answer>): Promise<Map<string, number>> => {
    const seen = new Map<string, number>();
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < TRIES; index = next++) {
        const { status, text } = await one(index);
        if (status === 401) refusals[index % 2 ? 'known' : 'unknown'].add(text);
        const code = (JSON.parse(text) as { error: { code: string } }).error.code;
        seen.set(`${status} ${code}`, (seen.get(`${status} ${code}`) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return seen;
  };
  const login = (email: string, password: string) =>
    ask('POST', '/v1/auth/login', { 'content-type': 'application/json' }, JSON.stringify({ email, password }));

  const quiet = await bystander(Promise.resolve());
  // Half against an account that there is, half against ones that there are not.
  const logins = flood((index) => login(index % 2 ? 'ada@tenant.example' : `nobody${index}@tenant.example`, `guess ${index}`));
  const duringLogins = await bystander(logins);
  const loginAnswers = await logins;
  // An account that there is, and those that there are not: byte for byte.
  assert.equal(refusals.known.size, 1);
  assert.deepEqual(refusals.known, refusals.unknown);
  const keysBeganAt = performance.now();
  const keys = flood((index) => ask('GET', '/v1/messages', { authorization: `Bearer mdsk_guess${index}` }));
  const duringKeys = await bystander(keys);
  const keyAnswers = await keys;
  const keysTookMs = performance.now() - keysBeganAt;
  const shown = (answers: Map<string, number>) => [...answers].map(([what, count]) => `${count} × ${what}`).join(', ');
  t.diagnostic(`logins: ${shown(loginAnswers)}`);
  t.diagnostic(`keys: ${shown(keyAnswers)}`);
  t.diagnostic(
    `a bystander’s p99: ${quiet.toFixed(1)} ms, during the logins ${duringLogins.toFixed(1)} ms, during the keys ${duringKeys.toFixed(1)} ms`,
  );

  // A busy machine may not come to one within the five seconds that a call has.
  const [loginsLate, keysLate] = [loginAnswers, keyAnswers].map((answers) => answers.get('504 TIMEOUT') ?? 0);
  for (const answers of [loginAnswers, keyAnswers]) answers.delete('504 TIMEOUT');
  t.diagnostic(`too late: ${loginsLate} logins, ${keysLate} keys`);
  assert.deepEqual([...loginAnswers.keys()].toSorted(), ['401 INVALID_CREDENTIALS', '429 RATE_LIMITED']);
  assert.ok((loginAnswers.get('401 INVALID_CREDENTIALS') ?? 0) + (loginsLate ?? 0) <= 40 * platform.gateways.length);
  assert.deepEqual([...keyAnswers.keys()].toSorted(), ['401 INVALID_TOKEN', '429 RATE_LIMITED']);
  // Sixty at once, and then one every two seconds, at each door; those that were under way when that one counted came through with it.
  const mayFail = 60 + AT_ONCE * (1 + keysTookMs / 2_000);
  assert.ok((keyAnswers.get('401 INVALID_TOKEN') ?? 0) <= mayFail * platform.gateways.length);
});
