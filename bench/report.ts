/** What is printed and written: one line per requirement, and everything behind it as JSON. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Machine } from './machine.ts';

/** A requirement with what was found. */
export interface Line {
  id: string;
  what: string;
  figure: string;
  ratio?: string;
  target: string;
  /** Undefined: nothing to compare with, or too short a run to say. */
  passed: boolean | undefined;
}

export interface Report {
  machine: Machine;
  /** How the platform ran and what it did beside its work. */
  platform: string;
  lines: Line[];
  /** What spoils the measurement: a request that was not accepted, a message that got lost. Never that something was slow. */
  faults: string[];
  /** Everything measured, by part. */
  details: Record<string, unknown>;
}

export function note(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function heading(text: string): void {
  process.stdout.write(`\n── ${text} ${'─'.repeat(Math.max(2, 96 - text.length))}\n`);
}

export function printTable(report: Report): void {
  heading('requirements');
  const rows = report.lines.map((line) => [
    line.id,
    line.what,
    line.figure,
    line.ratio ?? '',
    line.target,
    line.passed === undefined ? '–' : line.passed ? 'pass' : 'falls short',
  ]);
  const head = ['', 'what', 'figure', 'ratio', 'target', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of [head, ...rows])
    note(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  for (const fault of report.faults) note(`NOT MEASURED: ${fault}`);
}

export async function writeJson(path: string, report: Report): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

export function rate(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString('en')}/s`;
}

export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
}
