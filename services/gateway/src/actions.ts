// The audit log of what other services own: what was done to it through this door is told to auth, after it was done and before it is answered,
// so that what somebody was told is done stands in the log. Entries that come while a call is under way share the next one. What can't be told
// is kept and told later, each entry under an id of its own, so it is written once; nobody waits while auth is away. Lost is what a process
// that is killed had not answered yet, and what was done while auth was away.
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

const againMs = 2_000;
const perCall = 500;
/** Kept while auth is away; the oldest are given up for newer ones. */
const maxKept = 10_000;

export class Actions implements AsyncDisposable {
  readonly #tell: (request: RecordActionsRequest) => Promise<unknown>;
  readonly #lost: (count: number) => void;
  #waiting: Action[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The last call failed. */
  #isAway = false;
  #telling: Promise<void> = Promise.resolve();
  /** The call after the one that is under way. */
  #next: Promise<void> | undefined;

  constructor(tell: (request: RecordActionsRequest) => Promise<unknown>, lost: (count: number) => void) {
    this.#tell = tell;
    this.#lost = lost;
  }

  /**
   * Notes what an operation has done, if it is one of those and has done it: a repeated answer says what was done before. Resolves when auth
   * has it, or will have it later.
   */
  async note(operationId: string, { principal, address }: Call, params: Readonly<Record<string, string>>, answer: Answer): Promise<void> {
    const action = audited[operationId];
    if (action === undefined || answer.status >= 300 || answer.headers?.['Idempotent-Replayed'] !== undefined) return;
    const { tenantId, credentialId: actorId } = principal;
    this.#waiting.push({ id: newId('aud'), tenantId, action, actorId, subjectId: subjectOf(params, answer), address });
    if (this.#waiting.length > maxKept) {
      this.#waiting.shift();
      this.#lost(1);
    }
    // A call that is under way has looked at those that waited before it.
    if (this.#isAway) this.#later();
    else await this.#soon();
  }

  /** One call for all that wait for the one before it. */
  #soon(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    this.#next = this.#telling.then(async () => {
      this.#next = undefined;
      if (!this.#isAway) await this.#tellWaiting();
    });
    this.#telling = this.#next;
    return this.#next;
  }

  #later(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#telling = this.#telling.then(() => this.#tellWaiting());
    }, againMs).unref();
  }

  /** Those that wait now: whoever comes meanwhile would keep them waiting. */
  async #tellWaiting(): Promise<void> {
    for (let left = this.#waiting.length; left > 0; left -= perCall) {
      const actions = this.#waiting.slice(0, Math.min(left, perCall));
      try {
        await this.#tell({ actions });
      } catch {
        this.#isAway = true;
        this.#later();
        return;
      }
      this.#isAway = false;
      const told = new Set(actions);
      this.#waiting = this.#waiting.filter((action) => !told.has(action));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#telling.then(() => this.#tellWaiting());
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
