/** What people read on the terminal: sections, aligned lines, and one clear line when something stops us. */
import { styleText } from 'node:util';
import { SettingsError } from '@maildoot/runtime/config';
import { HomeError } from './home.ts';

// EX_CONFIG of sysexits, as the services' own processes end.
const EXIT_CONFIG = 78;

export function section(title: string): void {
  process.stdout.write(`\n${styleText('bold', title)}\n`);
}

export function line(label: string, text: string): void {
  process.stdout.write(`  ${label.padEnd(8)} ${text}\n`);
}

/** Ends the process with what went wrong and what to do. Causes that people can mend get one line; others their stack. */
export function reportAndExit(error: unknown): never {
  for (const text of explain(error).split('\n')) process.stderr.write(`maildoot: ${text}\n`);
  process.exit(error instanceof SettingsError ? EXIT_CONFIG : 1);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  const { issues } = (error as { detail?: { issues?: { path: string; message: string }[] } }).detail ?? {};
  if (issues?.length) return issues.map(({ path, message }) => `${path}: ${message}`).join('\n');
  if (error instanceof HomeError || error instanceof SettingsError) return error.message;
  if (code === 'ENOSPC') return 'the disk is full: free some space and start again.';
  return error.message;
}
