/** What people read on the terminal: sections, aligned lines, and one clear line when something stops us. */
import { styleText } from 'node:util';
import { HomeError } from './home.ts';

export function section(title: string): void {
  process.stdout.write(`\n${styleText('bold', title)}\n`);
}

export function line(label: string, text: string): void {
  process.stdout.write(`  ${label.padEnd(8)} ${text}\n`);
}

/** Ends the process with what went wrong and what to do. Causes that people can mend get one line; others their stack. */
export function reportAndExit(error: unknown): never {
  process.stderr.write(`\nmaildoot: ${explain(error)}\n`);
  process.exit(1);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof HomeError || error.name === 'SettingsError') return error.message;
  if (code === 'ENOSPC') return 'the disk is full: free some space and start again.';
  return error.message;
}
