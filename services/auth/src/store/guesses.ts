// Failed tries, counted before they are made: of a hundred that come at the same moment each finds the ones before it.
import type { Database } from '@maildoot/db/database';
import { type Failures, forgottenAfterMs, type Pace, waitMs } from '../guessing.ts';

export type Guesses = ReturnType<typeof openGuesses>;

/** Who has to wait is remembered, so that a flood costs the database nothing. */
const maxRemembered = 10_000;

export function openGuesses({ pool }: Database) {
  const untilMs = new Map<string, number>();

  return {
    /** Counts a try. Returns how long it has to wait still; 0 = it is counted and may be made. */
    async count(subject: Buffer, pace: Pace, now: Date): Promise<number> {
      const key = subject.toString('base64');
      const leftMs = (untilMs.get(key) ?? 0) - now.getTime();
      if (leftMs > 0) return leftMs;
      untilMs.delete(key);
      const forgotten = new Date(now.getTime() - forgottenAfterMs);
      const { rowCount } = await pool.query(
        `INSERT INTO login_failure AS f (subject, failures, last_at) VALUES ($1, 1, $2)
         ON CONFLICT (subject) DO UPDATE SET failures = CASE WHEN f.last_at <= $3 THEN 1 ELSE f.failures + 1 END, last_at = $2
          WHERE f.failures < $4 OR f.last_at <= $3
             OR f.last_at + least($5::float8, 1000 * 2 ^ least(30, f.failures - $4)) * interval '1 millisecond' <= $2`,
        [subject, now, forgotten, pace.free, pace.longestMs],
      );
      if (rowCount === 1) return 0;
      const { rows } = await pool.query<Failures>('SELECT failures, last_at AS "lastAt" FROM login_failure WHERE subject = $1', [subject]);
      // Forgiven in this moment: the next try is counted.
      const wait = Math.max(1, waitMs(rows[0], pace, now));
      if (untilMs.size >= maxRemembered) untilMs.clear();
      untilMs.set(key, now.getTime() + wait);
      return wait;
    },

    /** The try was none: what was counted for it is taken back. */
    async takeBack(subject: Buffer): Promise<void> {
      await pool.query('UPDATE login_failure SET failures = failures - 1 WHERE subject = $1 AND failures > 0', [subject]);
    },

    async forgive(subject: Buffer): Promise<void> {
      untilMs.delete(subject.toString('base64'));
      await pool.query('DELETE FROM login_failure WHERE subject = $1', [subject]);
    },

    async forget(now: Date): Promise<void> {
      await pool.query('DELETE FROM login_failure WHERE last_at <= $1', [new Date(now.getTime() - forgottenAfterMs)]);
    },
  };
}
