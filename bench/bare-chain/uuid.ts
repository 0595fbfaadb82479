/** UUIDv7, as the platform's ids: in the order of time, so that indexes grow at their end. */
import { randomFillSync } from 'node:crypto';

const pool = Buffer.alloc(10_000);
let used = pool.length;

export function newUuid(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString('hex', used, used + 10);
  used += 10;
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`;
}
