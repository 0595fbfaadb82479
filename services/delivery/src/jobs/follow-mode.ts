// Job, once at start: waiting rows go where the mode of now sends them. DELIVERY may have changed since they were enqueued.
import type { Database } from '@maildoot/db/database';
import { captureDestination, type Mode, smarthostDestination } from '../route.ts';
import { moveDestination, unresolve, waitingDestinations } from '../store/due.ts';

const rowsPerMove = 1_000;

export async function followMode(database: Database, mode: Mode): Promise<void> {
  const waiting = await waitingDestinations(database);
  for (const from of waiting) {
    if (mode === 'capture') {
      if (from !== captureDestination) await untilDone(() => moveDestination(database, from, captureDestination, rowsPerMove));
    } else if (mode === 'smarthost') {
      // Through their domains: what was captured by name stays in the inbox.
      if (from === captureDestination) await untilDone(() => unresolve(database, from, rowsPerMove));
      else if (from !== smarthostDestination) await untilDone(() => moveDestination(database, from, smarthostDestination, rowsPerMove));
    } else if (from === captureDestination || from === smarthostDestination) {
      await untilDone(() => unresolve(database, from, rowsPerMove));
    }
  }
  if (mode !== 'smarthost') return;
  for (const from of await waitingDestinations(database)) {
    if (from !== captureDestination && from !== smarthostDestination) {
      await untilDone(() => moveDestination(database, from, smarthostDestination, rowsPerMove));
    }
  }
}

async function untilDone(move: () => Promise<number>): Promise<void> {
  while ((await move()) === rowsPerMove);
}
