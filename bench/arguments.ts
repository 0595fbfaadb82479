/** What `make bench` and `node bench/main.ts` understand. */
import { parseArgs } from 'node:util';
import type { Form, TelemetryKind } from './platform.ts';

export const parts = ['accept', 'batches', 'latency', 'path', 'drain', 'depth', 'memory', 'hostile', 'guessing'] as const;
export type Part = (typeof parts)[number];

export interface Arguments {
  parts: readonly Part[];
  /** Of each measured stretch. */
  seconds: number;
  warmUpSeconds: number;
  /** How often A and B take turns. */
  rounds: number;
  short: boolean;
  form: Form;
  telemetry: TelemetryKind;
  connections: number[] | undefined;
  json: string;
  /** Where profiles go; undefined = none are taken. */
  profiles: string | undefined;
  /** Messages of the drain. */
  messages: number;
  /** Of the part accept: with the delivery role running beside it. */
  withDelivery: boolean;
}

export const usage = `usage: node bench/main.ts [${parts.join('|')} …] [options]
  --short               about two minutes for everything; says whether things can be measured, not how fast they are
  --seconds N           of each measured stretch (60; short 5)
  --rounds N            how often what is compared takes turns (2; short 1)
  --connections A,B     closed loop: these numbers of connections instead of looking for the best
  --messages N          of the drain (10000; short 1500)
  --platform F          split (default), one, cluster; or PLATFORM=F
  --telemetry T         traces (default), metrics, both, off
  --with-delivery       accept: mail is delivered beside it
  --profile             CPU profiles of the measured stretches, with a summary; or PROFILE=1
  --json FILE           where the figures go (bench/results/<time>.json)`;

export function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      connections: { type: 'string' },
      messages: { type: 'string' },
      platform: { type: 'string', default: process.env.PLATFORM || 'split' },
      telemetry: { type: 'string', default: 'traces' },
      'with-delivery': { type: 'boolean', default: false },
      profile: { type: 'boolean', default: ['1', 'true', 'yes'].includes(process.env.PROFILE ?? '') },
      json: { type: 'string' },
    },
  });
  const { short } = values;
  const time = new Date().toISOString().replaceAll(':', '').slice(0, 17);
  const results = new URL('./results/', import.meta.url).pathname;
  return {
    parts: positionals.length === 0 ? parts : positionals.map((name) => oneOf(name, parts)),
    short,
    seconds: positive(values.seconds, short ? 5 : 60),
    warmUpSeconds: short ? 3 : 10,
    rounds: positive(values.rounds, short ? 1 : 2),
    form: oneOf(values.platform, ['split', 'one', 'cluster'] as const),
    telemetry: oneOf(values.telemetry, ['traces', 'metrics', 'both', 'off'] as const),
    connections: values.connections?.split(',').map((text) => positive(text, 1)),
    messages: positive(values.messages, short ? 1500 : 10_000),
    withDelivery: values['with-delivery'],
    profiles: values.profile ? `${results}profiles-${time}` : undefined,
    json: values.json ?? `${results}${time}.json`,
  };
}

function oneOf<T extends string>(name: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === name);
  if (found === undefined) throw new Error(`${name}: one of ${allowed.join(', ')} is wanted\n${usage}`);
  return found;
}

function positive(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (!Number.isInteger(number) || number <= 0) throw new Error(`${text}: a positive number is wanted\n${usage}`);
  return number;
}
