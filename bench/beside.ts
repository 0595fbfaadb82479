/**
 * What others feel of somebody who means harm: the 202 path of one tenant at a fixed rate, in turns without and with the attack beside it. The
 * turns change places from round to round, so that a machine that grows slower favours neither.
 */
import { Agent, request } from 'node:http';
import { createTenant } from '@maildoot/standalone/first-tenant';
import { Home } from '@maildoot/standalone/home';
import type { Arguments } from './arguments.ts';
import type { Load } from './load.ts';
import type { Platform } from './platform.ts';
import { ms, note, type Report } from './report.ts';
import { delivered } from './settle.ts';
import { measuredLoad, requestTo } from './stretch.ts';

/** How often each answer was given to the attacker: `422 TEMPLATE_ERROR`. */
export type Answers = Map<string, number>;

export interface Attack {
  name: string;
  /** Goes on until the signal. */
  run(answers: Answers, signal: AbortSignal): Promise<void>;
}

export interface Beside {
  ratio: number;
  quietP99Ms: number;
  besideP99Ms: number;
  answers: Record<string, number>;
}

export async function measureBeside(
  platform: Platform,
  args: Arguments,
  report: Report,
  { attack, rate }: { attack: Attack; rate: number },
): Promise<Beside> {
  const answers: Answers = new Map();
  const loads: { beside: boolean; load: Load }[] = [];
  const stretch = () => measuredLoad(platform, args, report, { request: requestTo(platform), mode: 'open', rate, connections: 64 });
  for (let round = 0; round < args.rounds; round++) {
    for (const beside of round % 2 === 0 ? [false, true] : [true, false]) {
      const stop = new AbortController();
      const attacking = beside ? attack.run(answers, stop.signal) : undefined;
      // Also when the stretch fails: the attack must not outlive it.
      const { load } = await stretch().finally(() => stop.abort());
      await attacking;
      await delivered(platform);
      loads.push({ beside, load });
    }
  }
  const p99 = (which: boolean) => mean(loads.filter(({ beside }) => beside === which).map(({ load }) => load.latency.p99));
  const [quietP99Ms, besideP99Ms] = [p99(false), p99(true)];
  const shown = [...answers].map(([what, count]) => `${count} × ${what}`).join(', ');
  note(
    `${attack.name}: p99 of a 202 ${ms(besideP99Ms)} beside it, ${ms(quietP99Ms)} without (${loads.map(({ beside, load }) => `${beside ? 'with' : 'without'} ${ms(load.latency.p99)}`).join(', ')}); the attacker got ${shown}`,
  );
  return { ratio: besideP99Ms / quietP99Ms, quietP99Ms, besideP99Ms, answers: Object.fromEntries(answers) };
}

/** The key of a tenant of its own. */
export async function anotherTenant(platform: Platform, name: string): Promise<string> {
  const { key } = await createTenant(await Home.open(platform.home), platform.authAddress, name, `owner@${name}.example`);
  return key;
}

/** Requests over a few connections, from this process: while a stretch runs it has nothing else to do. */
export class Attacker implements Disposable {
  readonly #agent: Agent;
  readonly #url: URL;

  constructor(api: string, atOnce: number) {
    this.#url = new URL(api);
    this.#agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  }

  /** Counts the answer by its status and its error's code. */
  async ask(answers: Answers, method: string, path: string, headers: Record<string, string>, body = ''): Promise<void> {
    const what = await new Promise<string>((resolve) => {
      const { hostname, port } = this.#url;
      const type = body === '' ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
      const sent = request({ agent: this.#agent, hostname, port, method, path, headers: { ...headers, ...type } }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(`${response.statusCode} ${/"code":"([A-Z_]+)"/.exec(text)?.[1] ?? ''}`.trim()));
      });
      sent.on('error', (error) => resolve(`no answer (${error.message})`)).end(body);
    });
    answers.set(what, (answers.get(what) ?? 0) + 1);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
