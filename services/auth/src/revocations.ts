// Who has to know that a key was revoked or a session ended: the gateways, which remember for seconds whose one is. A revocation is told to all processes of
// auth by PostgreSQL, with its commit, and each passes it on to the streams that it serves. A gateway therefore needs one stream to
// any of them.

/**
 * NOTIFY channel; the payload is the SHA-256 of a key, or of the id of a session, in base64, or `*` when everything that is remembered may be
 * wrong. Channels belong to a database, and so does the key.
 */
export const revocationsChannel = 'auth_key_revoked';

/** What a stream has to pass on. */
export interface News {
  keys: Buffer[];
  /** Keys may have been revoked of which nothing was heard here. */
  missed: boolean;
}

// A stream that takes nothing off costs us this much, and then learns that it has missed something.
const maxWaiting = 10_000;

interface Stream {
  news: News;
  wake(): void;
}

export class Revocations {
  readonly #streams = new Set<Stream>();
  readonly #closing = new AbortController();
  #isListening = false;

  /** A payload of the channel, or undefined when listening has begun, again too. */
  heard(payload: string | undefined): void {
    this.#isListening = true;
    for (const stream of this.#streams) {
      const { news } = stream;
      if (payload === undefined || payload === '*' || news.keys.length >= maxWaiting) stream.news = { keys: [], missed: true };
      else if (!news.missed) news.keys.push(Buffer.from(payload, 'base64'));
      stream.wake();
    }
  }

  /**
   * From now until the signal or `close`. The first news is that something was missed: whatever its reader remembers is from before.
   * While we don't hear the database nothing is told, and when we do again, that something was missed; nobody may trust what they
   * remember for longer than seconds, whatever this says.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<News, void, undefined> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    let woken = Promise.withResolvers<void>();
    const wake = (): void => woken.resolve();
    const stream: Stream = { news: { keys: [], missed: this.#isListening }, wake };
    this.#streams.add(stream);
    ended.addEventListener('abort', wake);
    try {
      while (!ended.aborted) {
        woken = Promise.withResolvers<void>();
        const { news } = stream;
        if (news.missed || news.keys.length > 0) {
          stream.news = { keys: [], missed: false };
          yield news;
        } else await woken.promise;
      }
    } finally {
      ended.removeEventListener('abort', wake);
      this.#streams.delete(stream);
    }
  }

  /** Ends the streams: they would hold a draining server open. */
  close(): void {
    this.#closing.abort();
  }
}
