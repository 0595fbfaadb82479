// The bytes of messages: read from messaging once per claim, kept in a cache that is capped in bytes. What a claim needs is pinned until its
// last recipient is through; what is left over serves retries and other recipients of the same message.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { RpcClient } from '@maildoot/rpc/client';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';

/** A message's MIME; `missing`: messaging has none any more. */
export type Content = Buffer | 'missing';

/** Messaging could not be asked. Nobody's fault but ours; the recipients wait. */
export class ContentUnavailable extends Error {
  override readonly name = 'ContentUnavailable';
}

/** One claim's hold on a message. */
export interface PinnedContent {
  /** Rejects with ContentUnavailable. */
  content: Promise<Content>;
  /** The message's signature header, made at the first call and shared by all of its recipients. A failed one is made anew the next time. */
  signature(make: () => Promise<Buffer>): Promise<Buffer>;
  /** The holder is through with it. Called once. */
  release(): void;
}

interface Entry {
  content: Promise<Content>;
  settle: { resolve(content: Content): void; reject(error: unknown): void };
  /** Announced until read, then real. */
  sizeBytes: number;
  /** Whether its bytes are among those used: from the moment it is read. */
  counted: boolean;
  pins: number;
  signature: Promise<Buffer> | undefined;
}

export interface ContentsParts {
  messaging: Pick<RpcClient<typeof MessagingServiceService>, 'readContents'>;
  /** Bytes kept at most, pinned or not. One message that is larger by itself is read all the same, alone. */
  capBytes: number;
  /** Of these, bytes that nobody needs at the moment: for more recipients of the same messages. */
  keepBytes: number;
  /** Pauses between tries while messaging can't be reached. */
  retryDelaysMs: readonly number[];
}

// One call carries at most this much, so that the first messages of a claim are on their way before the last ones are read.
const bytesPerCall = 16 << 20;
// Messages that are kept at most; many are small, and one that is missing has no bytes.
const maxIdle = 1_000;

export class Contents {
  readonly #entries = new Map<string, Entry>();
  // Those without a pin, the least recently used first.
  readonly #idle = new Map<string, Entry>();
  #idleBytes = 0;
  readonly #parts: ContentsParts;
  #usedBytes = 0;
  #reading: Promise<void> = Promise.resolve();
  #roomWanted: (() => void) | undefined;

  constructor(parts: ContentsParts) {
    this.#parts = parts;
  }

  /** Pins the messages of a claim, one pin per item in the same order, and starts to read those that aren't here. */
  load(messages: readonly { messageId: string; sizeBytes: number }[]): PinnedContent[] {
    const wanted: string[] = [];
    const pinned = messages.map(({ messageId, sizeBytes }) => {
      let entry = this.#entries.get(messageId);
      if (entry === undefined) {
        const { promise, resolve, reject } = Promise.withResolvers<Content>();
        // Whoever needs it will see the failure; nobody may need it any more.
        promise.catch(() => undefined);
        entry = { content: promise, settle: { resolve, reject }, sizeBytes, counted: false, pins: 0, signature: undefined };
        this.#entries.set(messageId, entry);
        wanted.push(messageId);
      }
      entry.pins++;
      if (this.#idle.delete(messageId)) this.#idleBytes -= entry.sizeBytes;
      return this.#pinned(messageId, entry);
    });
    for (let from = 0; from < wanted.length; ) {
      let bytes = 0;
      let to = from;
      while (to < wanted.length && (to === from || bytes + this.#size(wanted[to]) <= bytesPerCall)) bytes += this.#size(wanted[to++]);
      const batch = wanted.slice(from, to);
      from = to;
      this.#reading = this.#reading.then(() => this.#read(batch, bytes));
    }
    return pinned;
  }

  #pinned(messageId: string, entry: Entry): PinnedContent {
    return {
      content: entry.content,
      async signature(make) {
        if (entry.signature === undefined) {
          entry.signature = make();
          entry.signature.catch(() => {
            entry.signature = undefined;
          });
        }
        return await entry.signature;
      },
      release: () => {
        entry.pins--;
        // Its reading may have failed meanwhile, and another one have its place.
        if (entry.pins > 0 || this.#entries.get(messageId) !== entry) return;
        this.#idle.set(messageId, entry);
        this.#idleBytes += entry.sizeBytes;
        this.#evict(0);
        this.#roomWanted?.();
      },
    };
  }

  #size(messageId: string | undefined): number {
    return messageId === undefined ? 0 : (this.#entries.get(messageId)?.sizeBytes ?? 0);
  }

  async #read(wanted: readonly string[], announcedBytes: number): Promise<void> {
    while (!this.#evict(announcedBytes)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#roomWanted = resolve;
      await promise;
      this.#roomWanted = undefined;
    }
    // Who wanted it may have given up by now.
    const left = new Set(wanted.filter((messageId) => this.#entries.get(messageId)?.counted === false));
    for (const messageId of left) {
      const entry = this.#entries.get(messageId);
      if (entry === undefined) continue;
      entry.counted = true;
      this.#usedBytes += entry.sizeBytes;
    }
    for (let attempt = 0; left.size > 0; attempt++) {
      try {
        await this.#call(left);
        if (left.size > 0) throw new Error('the stream ended early');
      } catch (cause) {
        const pauseMs = this.#parts.retryDelaysMs[attempt];
        if (pauseMs === undefined) {
          for (const messageId of left)
            this.#fail(messageId, new ContentUnavailable('the message could not be read from messaging', { cause }));
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  async #call(left: Set<string>): Promise<void> {
    let frames: Uint8Array[] = [];
    for await (const frame of this.#parts.messaging.readContents({ ids: [...left].map((uuid) => uuidToId('msg', uuid)) })) {
      const messageId = idToUuid('msg', frame.id);
      if (messageId === undefined || !left.has(messageId)) continue;
      if (frame.missing) {
        left.delete(messageId);
        this.#done(messageId, 'missing');
      } else {
        frames.push(frame.data);
        if (!frame.last) continue;
        left.delete(messageId);
        this.#done(messageId, Buffer.concat(frames));
      }
      frames = [];
    }
  }

  #done(messageId: string, content: Content): void {
    const entry = this.#entries.get(messageId);
    if (entry === undefined) return;
    const realBytes = content === 'missing' ? 0 : content.length;
    this.#usedBytes += realBytes - entry.sizeBytes;
    if (this.#idle.has(messageId)) this.#idleBytes += realBytes - entry.sizeBytes;
    entry.sizeBytes = realBytes;
    entry.settle.resolve(content);
  }

  #fail(messageId: string, error: ContentUnavailable): void {
    const entry = this.#entries.get(messageId);
    if (entry === undefined) return;
    // Forgotten, so that the next claim asks anew; who holds the entry sees the failure.
    this.#forget(messageId, entry);
    entry.settle.reject(error);
    this.#roomWanted?.();
  }

  /** Drops what nobody needs, the least recently used first, until so many bytes have room. */
  #evict(neededBytes: number): boolean {
    for (const [messageId, entry] of this.#idle) {
      const kept = this.#idleBytes <= this.#parts.keepBytes && this.#idle.size <= maxIdle;
      if (kept && this.#usedBytes + neededBytes <= this.#parts.capBytes) return true;
      this.#forget(messageId, entry);
    }
    // A message larger than the cap has its turn when it is alone.
    return this.#usedBytes === 0 || this.#usedBytes + neededBytes <= this.#parts.capBytes;
  }

  #forget(messageId: string, entry: Entry): void {
    this.#entries.delete(messageId);
    if (this.#idle.delete(messageId)) this.#idleBytes -= entry.sizeBytes;
    if (entry.counted) this.#usedBytes -= entry.sizeBytes;
  }
}

/** Two stores as one: what is small is read beside what is large, and has bytes of its own, so that it waits for no other tenant's attachments. */
export function bySize(small: Pick<Contents, 'load'>, large: Pick<Contents, 'load'>, largeFromBytes: number): Pick<Contents, 'load'> {
  return {
    load(messages) {
      const isLarge = ({ sizeBytes }: { sizeBytes: number }): boolean => sizeBytes >= largeFromBytes;
      const pinned = {
        small: small.load(messages.filter((one) => !isLarge(one))).values(),
        large: large.load(messages.filter(isLarge)).values(),
      };
      return messages.flatMap((one) => pinned[isLarge(one) ? 'large' : 'small'].next().value ?? []);
    },
  };
}
