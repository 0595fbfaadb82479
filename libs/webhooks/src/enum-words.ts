// Enums of the services' contract as the API's words: MESSAGE_STATUS_PARTIALLY_DELIVERED ↔ partially_delivered.

/** What a value that this release doesn't know is called: a service that is newer than the gateway must not make lists unreadable. */
export const unknownWord = 'unknown';

export interface EnumWords<V extends number> {
  /** Without UNSPECIFIED. */
  readonly words: readonly [string, ...string[]];
  wordOf(value: V): string;
  /** Undefined for a word that isn't one. */
  valueOf(word: string): V | undefined;
}

export function enumWords<V extends number>(values: Readonly<Record<string, V>>, prefix: string): EnumWords<V> {
  const byValue = new Map<number, string>();
  const byWord = new Map<string, V>();
  for (const [name, value] of Object.entries(values)) {
    if (value === 0) continue;
    const word = name.slice(prefix.length).toLowerCase();
    byValue.set(value, word);
    byWord.set(word, value);
  }
  const [first, ...others] = byWord.keys();
  if (first === undefined) throw new TypeError(`the enum of ${prefix} has no values`);
  return { words: [first, ...others], wordOf: (value) => byValue.get(value) ?? unknownWord, valueOf: (word) => byWord.get(word) };
}
