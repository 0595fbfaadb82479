// Job: gives back rows that the database says this pod holds and that its memory doesn't know: the answer to a claim was lost on its way.
// Nobody attempts them, so the attempt isn't counted and nothing is said about an interruption.
import type { Database } from '@maildoot/db/database';
import { repeat } from '@maildoot/runtime/repeat';
import { giveBack, type Held, heldBy } from '../store/due.ts';
import type { Telemetry } from '../telemetry.ts';

export interface ReconcileParts {
  database: Database;
  telemetry: Telemetry;
  incarnation(): string | undefined;
  /** Whether memory knows this claim. */
  isHeld(held: Held): boolean;
  /** Runs the work while no claim is under way: a claim's answer may be in the air. */
  betweenClaims(work: () => Promise<void>): Promise<void>;
  givenBack(): void;
}

export function startReconcilingOwn(parts: ReconcileParts): AsyncDisposable {
  return repeat({
    everyMs: 5_000,
    async run() {
      const id = parts.incarnation();
      if (id === undefined) return;
      await parts.betweenClaims(async () => {
        const unknown = (await heldBy(parts.database, id)).filter((held) => !parts.isHeld(held));
        if (unknown.length === 0) return;
        await giveBack(parts.database, unknown);
        parts.givenBack();
      });
    },
    onFailure: (error) => parts.telemetry.failed('reconcile-own', error),
  });
}
