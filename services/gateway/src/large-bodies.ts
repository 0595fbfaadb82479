// The threads that read bodies over 1 MB, so that no request shares an event-loop turn with one of those (a 39 MB body takes JSON.parse
// and validation 1.6 s). They start when they are needed and end when they have nothing to do.
import { Piscina } from 'piscina';
import { ApiError, internalError } from './errors.ts';
import type { ItemProblem, SendOptions, SendRequest } from './send-request.ts';
import type { Answer, Task } from './send-request-worker.ts';

/** Bodies up to this size are read where they arrive. */
export const largeBodyBytes = 1024 * 1024;

/** What a worker made of a body: like a SendRequest, but with the RPC request as bytes. */
export type LargeSendRequest = Pick<SendRequest, 'form' | 'problems' | 'dryRun'> & { readonly batchId: string; readonly encoded: Buffer };

export class LargeBodies implements AsyncDisposable {
  readonly #pool: Piscina<Task, Answer>;

  constructor(threads: number) {
    this.#pool = new Piscina<Task, Answer>({
      filename: new URL('./send-request-worker.ts', import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: 30_000,
      // A net below the limits of json-body.ts, which keep the worst body under half of this. It catches our own code only: JSON.parse
      // that runs into it ends the process.
      resourceLimits: { maxOldGenerationSizeMb: 1536 },
    });
  }

  /** The body is moved to the worker and must not be used afterwards. @throws ApiError */
  async read(body: Buffer, options: SendOptions): Promise<LargeSendRequest | { refused: ItemProblem }> {
    const answer = await this.#run({ body, options });
    switch (answer.kind) {
      case 'failed':
        throw new ApiError(answer.code, answer.message);
      case 'refused':
        return { refused: answer.refused };
      case 'request': {
        const { form, problems, batchId, dryRun, encoded } = answer;
        return { form, problems, batchId, dryRun, encoded: Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength) };
      }
    }
  }

  async #run(task: Task): Promise<Answer> {
    try {
      return await this.#pool.run(task, { transferList: [task.body.buffer as ArrayBuffer] });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') {
        throw new ApiError('PAYLOAD_TOO_LARGE', 'The body takes too much memory to read: it consists of very many small values.', {
          cause: error,
        });
      }
      throw internalError(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}
