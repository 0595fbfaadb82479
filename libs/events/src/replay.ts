/** Parked records that somebody asked for, handled once more between two batches of their partition. */
import type { ParkedStore } from './parked-store.ts';
import { type Processing, processBatch, type RawRecord } from './process-batch.ts';

// Between two batches. Each may have a megabyte, and the partition's own records wait.
const REPLAY_BATCH = 10;

/** True: there may be more. */
export async function replayParked<E>(parked: ParkedStore, partition: number, processing: Processing<E>): Promise<boolean> {
  const records = await parked.toReplay(partition, REPLAY_BATCH);
  let done = 0;
  while (done < records.length && (await replayOne(parked, records[done]!, processing))) done++;
  return done === REPLAY_BATCH;
}

/** False: neither handled nor parked again. It is looked for again later, for what waits behind it must not wait for ever. */
async function replayOne<E>(parked: ParkedStore, record: RawRecord, processing: Processing<E>): Promise<boolean> {
  let parkedAgain = false;
  let goes = 0;
  const done = await processBatch([record], {
    ...processing,
    // One call of the handler, and parking.
    retry: { ...processing.retry, attempts: 1 },
    mayGoOn: () => goes++ < 2 && processing.mayGoOn(),
    async park(parking) {
      await parked.parkAgain(parking);
      parkedAgain = true;
    },
  });
  if (done === 0) return false;
  if (!parkedAgain) {
    await parked.unpark(record);
    processing.telemetry.replayed(record);
  }
  return true;
}
