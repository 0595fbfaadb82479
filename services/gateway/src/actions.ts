// The audit log of what other services own: what was done to it through this door is told to auth, after it was done. An answer doesn't wait
// for that; what can't be told is kept and told later, each entry under an id of its own, so it is written once. What is lost is what a
// process that is killed had in its hands: half a second's, or what was done while auth was away.
import type { Action, RecordActionsRequest } from '@maildoot/proto/maildoot/auth/v1/audit';
import { newId } from '@maildoot/runtime/ids';
import type { Answer, Call } from './route.ts';

/** By operation; what auth does it writes down itself. */
export const audited: Readonly<Record<string, string>> = {
  createDomain: 'domain.created',
  deleteDomain: 'domain.deleted',
  rotateDkim: 'domain.dkim_rotated',
  createTemplate: 'template.created',
  updateTemplate: 'template.updated',
  publishTemplate: 'template.published',
  deleteTemplate: 'template.deleted',
  createCallback: 'callback.created',
  updateCallback: 'callback.updated',
  deleteCallback: 'callback.deleted',
  rotateCallbackSecret: 'callback.secret_rotated',
  replayCallback: 'callback.replayed',
  createSuppression: 'suppression.added',
  importSuppressions: 'suppression.imported',
  deleteSuppression: 'suppression.deleted',
};

const gatherMs = 500;
const againMs = 2_000;
const perCall = 500;
/** Kept while auth is away; the oldest are given up for newer ones. */
const maxKept = 10_000;

export class Actions implements AsyncDisposable {
  readonly #tell: (request: RecordActionsRequest) => Promise<unknown>;
  readonly #lost: (count: number) => void;
  #waiting: Action[] = [];
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();

  constructor(tell: (request: RecordActionsRequest) => Promise<unknown>, lost: (count: number) => void) {
    this.#tell = tell;
    this.#lost = lost;
  }

  /** Notes what an operation has done, if it is one of those and has done it: a repeated answer says what was done before. */
  note(operationId: string, { principal, address }: Call, params: Readonly<Record<string, string>>, answer: Answer): void {
    const action = audited[operationId];
    if (action === undefined || answer.status >= 300 || answer.headers?.['Idempotent-Replayed'] !== undefined) return;
    const { tenantId, credentialId: actorId } = principal;
    this.#waiting.push({ id: newId('aud'), tenantId, action, actorId, subjectId: subjectOf(params, answer), address });
    if (this.#waiting.length > maxKept) {
      this.#waiting.shift();
      this.#lost(1);
    }
    this.#later(gatherMs);
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => void this.#flush(), ms).unref();
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#telling = this.#telling.then(async () => {
      while (this.#waiting.length > 0) {
        const actions = this.#waiting.slice(0, perCall);
        try {
          await this.#tell({ actions });
        } catch {
          this.#later(againMs);
          return;
        }
        const told = new Set(actions);
        this.#waiting = this.#waiting.filter((action) => !told.has(action));
      }
    });
    return this.#telling;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flush();
    clearTimeout(this.#timer);
    if (this.#waiting.length > 0) this.#lost(this.#waiting.length);
  }
}

/** The object that is answered, or what the path names. */
function subjectOf(params: Readonly<Record<string, string>>, { content }: Answer): string {
  const value = content !== undefined && 'json' in content ? content.json : undefined;
  if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string') return value.id;
  return params.id ?? params.domain ?? params.email ?? '';
}
