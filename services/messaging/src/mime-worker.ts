// The thread in which big messages are composed; see mime.ts, which starts it.
import { parentPort } from 'node:worker_threads';
import { composeMime, type FreezeJob, type FreezeResult } from './mime.ts';

parentPort?.on('message', (job: FreezeJob) => {
  void answer(job);
});

async function answer(job: FreezeJob): Promise<void> {
  try {
    const mime = Uint8Array.from(await composeMime(job.message, job.date, job.links));
    parentPort?.postMessage({ mime } satisfies FreezeResult, [mime.buffer]);
  } catch (error) {
    parentPort?.postMessage({ failure: error instanceof Error ? error.message : String(error) } satisfies FreezeResult);
  }
}
