/**
 * Chaos on the cluster: under load, every ten seconds at most, one random process is killed, stopped beyond its leases, or cut off. Then
 * three independent records are compared. What the output means is in README.md.
 *
 *   node e2e/chaos/main.ts --minutes 10 --rate 200 --seed 7
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DEEDS, planStrikes } from './plan.ts';
import { printEnd, printShares, printStrikes, printVerdict, section } from './print.ts';
import { withRig } from './rig.ts';
import { sharesOf } from './shares.ts';
import { strikeAll } from './strike.ts';

const WANTED_SHARE = 0.999;
const WARM_UP_MS = 3000;
/** After the last strike is over the load goes on, so that the recovery is under load too. */
const AFTERWARDS_MS = 5000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    // To look at one thing: names or their beginnings, and deeds, separated by commas.
    victims: { type: 'string', default: '' },
    deeds: { type: 'string', default: DEEDS.join(',') },
    directory: { type: 'string' },
    keep: { type: 'boolean', default: false },
    'log-level': { type: 'string', default: 'warn' },
  },
});
const deeds = DEEDS.filter((deed) => values.deeds.split(',').includes(deed));
const [minutes, rate, seed] = [Number(values.minutes), Number(values.rate), Number(values.seed)];
if (!(minutes > 0) || !(rate > 0) || !Number.isInteger(seed) || deeds.length === 0) {
  process.stderr.write(
    'usage: main.ts [--minutes 10] [--rate 200] [--seed 7] [--victims messaging,postgres] [--deeds kill,stop,cut] [--directory run] [--keep] [--log-level warn]\n',
  );
  process.exit(64);
}

process.exitCode = await withRig(
  { directory: values.directory, keep: values.keep, logLevel: values['log-level'] },
  async (rig, interrupted) => {
    rig.say(`seed ${seed}: ${minutes} minutes at ${rate} messages/s; repeat with --minutes ${minutes} --rate ${rate} --seed ${seed}`);
    const victims = rig.names.filter((name) => values.victims.split(',').some((beginning) => name.startsWith(beginning)));
    const plan = planStrikes({ seed, victims, deeds, forMs: minutes * 60_000 });
    const load = rig.startLoad({ rate, seed });
    await delay(WARM_UP_MS);
    const telling = setInterval(() => {
      const { messages, accepted, failed, underWay, p50, p99 } = load.tally();
      rig.say(
        `sent ${messages} messages; requests: ${accepted} accepted, ${failed} failed, ${underWay} under way; p50 ${p50} ms, p99 ${p99} ms`,
      );
    }, 10_000);
    const struck = await strikeAll(plan, rig, { journal: join(rig.directory, 'journal.jsonl'), signal: interrupted, say: rig.say }).finally(
      () => clearInterval(telling),
    );
    await delay(AFTERWARDS_MS);
    await load.finish();
    rig.say(`the load is over: ${load.tally().messages} messages sent; waiting for the queue`);
    const { verdict, requested } = await rig.settle();

    const shares = sharesOf(requested, struck);
    section(`Chaos: seed ${seed}, ${minutes} minutes, ${rate} messages/s`);
    printStrikes(struck);
    printShares(shares, WANTED_SHARE);
    printVerdict(verdict);
    return printEnd(verdict, shares.share < WANTED_SHARE ? ['too few requests answered 202'] : []);
  },
);
process.exit();
