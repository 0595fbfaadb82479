/**
 * One transaction for the records of many partitions. A handler gets those of one partition, so that at a moderate rate each call has one or
 * two of them, and a commit per call would be what costs most. Calls that run at the same moment share one here; a partition's order is
 * kept, because its next call comes when this one has returned.
 */
import { GroupCommit } from '@maildoot/db/group-commit';
import type { EventRecord } from './log.ts';

type Handle<E> = (records: readonly EventRecord<E>[]) => Promise<void>;

/**
 * `handle` commits all of the records that it gets, or none, and gets about `maxRecords` of them at most. What it throws for several
 * partitions is found out for each alone, so that one's poisonous record concerns no other. Use it with `concurrency: PARTITIONS`.
 */
export function together<E>(handle: Handle<E>, maxRecords: number): Handle<E> {
  const group = new GroupCommit<readonly EventRecord<E>[], void>({
    maxBytes: maxRecords,
    concurrency: 1,
    sizeOf: (records) => records.length,
    async commit(batches) {
      await handle(batches.flat());
      return batches.map(() => undefined);
    },
  });
  return (records) => group.submit(records);
}
