/** Passwords and keys are guessed; what the 202s of somebody else take, with and without it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Arguments } from '../arguments.ts';
import { type Answers, type Attack, Attacker, anotherTenant, measureBeside } from '../beside.ts';
import { startPlatform } from '../platform.ts';
import { heading, ms, type Report } from '../report.ts';
import { startSink } from '../reporter.ts';

const atOnce = 16;
const perSecond = 200;
/** 10,000 in twenty seconds: more would measure what the guesser takes of this machine. */
const guessesPerSecond = 500;
const limit = 1.2;

export async function measureGuessing(args: Arguments, report: Report): Promise<void> {
  heading(`(10) ${perSecond} POSTs/s of one tenant while ${guessesPerSecond} passwords or keys are guessed a second`);
  await using sink = await startSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  using attacker = new Attacker(platform.api, atOnce);
  await anotherTenant(platform, 'guessed');
  const logins: Attack = {
    name: 'guessed passwords',
    // Half against an account that there is, half against ones that there are not.
    run: paced((answers, index) => {
      const email = index % 2 === 0 ? 'owner@guessed.example' : `nobody${index}@guessed.example`;
      return attacker.ask(answers, 'POST', '/v1/auth/login', {}, JSON.stringify({ email, password: `guess ${index}` }));
    }),
  };
  const keys: Attack = {
    name: 'guessed keys',
    run: paced((answers, index) => attacker.ask(answers, 'GET', '/v1/messages', { authorization: `Bearer mdsk_guess${index}` })),
  };
  for (const [attack, expected] of [
    [logins, ['401 INVALID_CREDENTIALS', '429 RATE_LIMITED']],
    [keys, ['401 INVALID_TOKEN', '429 RATE_LIMITED']],
  ] as const) {
    const found = await measureBeside(platform, args, report, { attack, rate: perSecond });
    if (expected.some((answer) => found.answers[answer] === undefined))
      report.faults.push(`${attack.name} were not slowed: ${JSON.stringify(found.answers)}`);
    report.lines.push({
      id: '10',
      what: `p99 of a 202 beside ${attack.name}`,
      figure: `${ms(found.besideP99Ms)} (without ${ms(found.quietP99Ms)})`,
      ratio: `${found.ratio.toFixed(2)} × without`,
      target: `≤ ${limit} × without`,
      // Five seconds of a p99 are a handful of requests.
      passed: args.short ? undefined : found.ratio <= limit,
    });
    report.details[attack.name] = found;
  }
}

/** Guesses at a steady rate, as many at a time as there are connections. */
function paced(guess: (answers: Answers, index: number) => Promise<void>): Attack['run'] {
  return async (answers, signal) => {
    const startedAtMs = performance.now();
    let index = 0;
    const worker = async (): Promise<void> => {
      while (!signal.aborted) {
        const own = index++;
        const earlyMs = startedAtMs + (own * 1000) / guessesPerSecond - performance.now();
        if (earlyMs > 0) await delay(earlyMs, undefined, { signal }).catch(() => undefined);
        if (!signal.aborted) await guess(answers, own);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  };
}
