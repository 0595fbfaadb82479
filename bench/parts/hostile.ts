/** One tenant sends hostile templates without a pause; what the 202s of another take, with and without it. */
import type { Arguments } from '../arguments.ts';
import { type Answers, Attacker, anotherTenant, measureBeside } from '../beside.ts';
import { type Platform, startPlatform } from '../platform.ts';
import { heading, ms, type Report } from '../report.ts';
import { startSink } from '../reporter.ts';

const atOnce = 8;
const perSecond = 200;
const limit = 1.2;

const text = 'x'.repeat(100_000);
const list = Array.from({ length: 2_000 }, () => '');
/** Each runs into another limit: time between nodes, time within one, characters, memory of a filter, depth. */
const hostile: { html: string; variables: unknown }[] = [
  { html: '{% for a in l %}{% for b in l %}{% for c in l %}{{ c }}{% endfor %}{% endfor %}{% endfor %}', variables: { l: list } },
  { html: `{{ s ${'| slugify: "latin" '.repeat(3_000)} }}`, variables: { s: text } },
  { html: '{% for a in l %}{{ s }}{% endfor %}', variables: { l: list, s: text } },
  { html: '{{ s | replace: "x", s }}', variables: { s: text } },
  { html: '{% for i in (1..n) %}x{% endfor %}', variables: { n: 1e308 } },
];

export async function measureHostile(args: Arguments, report: Report): Promise<void> {
  heading(`(8) ${perSecond} POSTs/s of one tenant while another sends hostile templates, ${atOnce} at a time`);
  await using sink = await startSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  using attacker = new Attacker(platform.api, atOnce);
  const key = await testKey(platform, await anotherTenant(platform, 'attacker'));
  const bodies = await saved(platform, key);
  const attack = {
    name: 'hostile templates',
    async run(answers: Answers, signal: AbortSignal): Promise<void> {
      let next = 0;
      const worker = async (): Promise<void> => {
        while (!signal.aborted) {
          const { path, body } = bodies[next++ % bodies.length]!;
          await attacker.ask(answers, 'POST', path, { authorization: `Bearer ${key}` }, body);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
    },
  };
  const found = await measureBeside(platform, args, report, { attack, rate: perSecond });
  if (found.answers['422 TEMPLATE_ERROR'] === undefined) report.faults.push('hostile: no template ran into a limit');
  if (Object.keys(found.answers).some((answer) => answer.startsWith('2')))
    report.faults.push(`hostile: a hostile template was sent: ${JSON.stringify(found.answers)}`);
  report.lines.push({
    id: '8',
    what: 'p99 of a 202 beside hostile templates',
    figure: `${ms(found.besideP99Ms)} (without ${ms(found.quietP99Ms)})`,
    ratio: `${found.ratio.toFixed(2)} × without`,
    target: `≤ ${limit} × without`,
    // Five seconds of a p99 are a handful of requests.
    passed: args.short ? undefined : found.ratio <= limit,
  });
  report.details.hostile = found;
}

/** With which any From will do: the attacker has no domain. */
async function testKey(platform: Platform, key: string): Promise<string> {
  return (await created<{ key: string }>(platform, key, '/v1/api-keys', { name: 'test', scope: 'full', test: true })).key;
}

async function created<T>({ api }: Platform, key: string, path: string, body: unknown): Promise<T> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const answer = await fetch(`${api}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

async function saved(platform: Platform, key: string): Promise<{ path: string; body: string }[]> {
  return await Promise.all(
    hostile.map(async ({ html, variables }, index) => {
      const template = { name: `Hostile ${index}`, subject: 'x', html };
      const { id } = await created<{ id: string }>(platform, key, '/v1/templates', template);
      const body = JSON.stringify({ from: 'a@attack.example', to: 'b@recipient.example', variables });
      return { path: `/v1/templates/${id}/send`, body };
    }),
  );
}
