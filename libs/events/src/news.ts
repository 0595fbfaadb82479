/**
 * How a consumer learns that there are new records: from a sequencer in the same process by a plain event, from one elsewhere by NOTIFY.
 * News are hints: whoever gets them looks, whoever misses them looks a little later anyway. They never say what was read.
 */
import { EventEmitter } from 'node:events';
import { schemaOf, type TopicFacts } from './topics.ts';

/** Topic → partition → its last position. Empty: anything may be new. */
export type News = Record<string, Record<string, string>>;

// PostgreSQL refuses payloads of 8000 bytes.
const LONGEST_PAYLOAD_BYTES = 7_900;

const local = new EventEmitter().setMaxListeners(0);

export function announceHere(schema: string, news: News): void {
  local.emit(schema, news);
}

export function listenHere(schema: string, listener: (news: News) => void): Disposable {
  local.on(schema, listener);
  return { [Symbol.dispose]: () => local.off(schema, listener) };
}

/** NOTIFY channel of a producing service. */
export function newsChannel(topic: Pick<TopicFacts, 'owner'>): string {
  return newsChannelOf(schemaOf(topic));
}

export function newsChannelOf(schema: string): string {
  return `outbox_news_${schema}`;
}

/** NOTIFY channel that wakes the sequencer of a schema when it is in another process than the committer. */
export function wakeChannelOf(schema: string): string {
  return `outbox_wake_${schema}`;
}

export function encodeNews(news: News): string {
  const text = JSON.stringify(news);
  return Buffer.byteLength(text) <= LONGEST_PAYLOAD_BYTES ? text : '{}';
}

export function decodeNews(payload: string): News {
  try {
    return JSON.parse(payload) as News;
  } catch {
    return {};
  }
}
