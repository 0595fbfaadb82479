// DKIM key pairs made ahead of time. Adding a domain answers within 100 ms, two RSA keys may take ten times that; so a few pairs lie ready,
// sealed, in a table of bounded size that all pods share. When it is empty, keys are made at once: slower, never refused.

import { newUuid } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { type DkimKeyPair, generateDkimKeyPair, spareKeyContext } from './dkim-key.ts';
import type { Store } from './store.ts';

export interface SpareKeys {
  /** Exactly so many pairs, in the clear: the caller seals them for their place. */
  take(count: number): Promise<{ pairs: DkimKeyPair[]; from: 'spare' | 'made_now' }>;
  /** Makes pairs until there are enough, one after the other so that the thread pool stays free for others. */
  fill(signal: AbortSignal): Promise<void>;
}

export interface SpareKeysOptions {
  store: Pick<Store, 'takeSpares' | 'addSpare' | 'countSpares'>;
  sealer: Sealer;
  /** How many lie ready at most; 0 keeps none. */
  max: number;
  /** Called when some were taken. */
  taken: () => void;
  /** A pair that can't be opened is thrown away. */
  unusable: (error: unknown) => void;
}

export function createSpareKeys({ store, sealer, max, taken, unusable }: SpareKeysOptions): SpareKeys {
  function openAll(spares: Awaited<ReturnType<Store['takeSpares']>>): DkimKeyPair[] {
    return spares.flatMap(({ id, publicKey, sealedPrivateKey }) => {
      try {
        return [{ publicKey, privateKey: sealer.open(sealedPrivateKey, spareKeyContext(id)) }];
      } catch (error) {
        unusable(error);
        return [];
      }
    });
  }

  return {
    async take(count) {
      const spares = max === 0 ? [] : openAll(await store.takeSpares(count));
      if (max > 0) taken();
      const made = await Promise.all(Array.from({ length: count - spares.length }, () => generateDkimKeyPair()));
      return { pairs: [...spares, ...made], from: made.length === 0 ? 'spare' : 'made_now' };
    },

    async fill(signal) {
      while (!signal.aborted && (await store.countSpares()) < max) {
        const { publicKey, privateKey } = await generateDkimKeyPair();
        const id = newUuid();
        const kept = await store.addSpare({ id, publicKey, sealedPrivateKey: sealer.seal(privateKey, spareKeyContext(id)) }, max);
        if (!kept) return;
      }
    },
  };
}
