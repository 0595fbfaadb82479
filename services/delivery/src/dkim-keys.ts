// The keys that sign. They come sealed from domain-provisioning, are opened once and kept in memory for 24 hours (message-path.md), so that
// mail goes on while that service is down. There is no way to get "no signature" from here: no key is an error, and the message waits.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcClient } from '@maildoot/rpc/client';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';

export interface SigningKey {
  domain: string;
  selector: string;
  key: KeyObject;
}

/** No key can be had at the moment: whose fault that is stands in the cause. */
export class NoSigningKey extends Error {
  override readonly name = 'NoSigningKey';
}

const keepMs = 24 * 3_600_000;
// A domain without a key is asked about once in this time, not once per message.
const keepFailureMs = 5_000;
const maxKeys = 10_000;

interface Entry {
  until: Date;
  key: Promise<SigningKey>;
}

export class DkimKeys {
  readonly #entries = new Map<string, Entry>();
  readonly #parts: { domains: Pick<RpcClient<typeof DomainServiceService>, 'getSigningKey'>; sealer: Sealer; clock: Clock };

  constructor(parts: { domains: Pick<RpcClient<typeof DomainServiceService>, 'getSigningKey'>; sealer: Sealer; clock: Clock }) {
    this.#parts = parts;
  }

  /** The key of a tenant's domain. Rejects with NoSigningKey. */
  async keyOf(tenantId: string, domain: string): Promise<SigningKey> {
    const name = `${tenantId}/${domain}`;
    const now = this.#parts.clock.now();
    const known = this.#entries.get(name);
    if (known !== undefined && known.until > now) return await known.key;
    const key = this.#fetch(tenantId, domain);
    const entry: Entry = { until: new Date(now.getTime() + keepMs), key };
    key.catch(() => {
      entry.until = new Date(now.getTime() + keepFailureMs);
    });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size >= maxKeys && !oldest.done) this.#entries.delete(oldest.value);
    this.#entries.set(name, entry);
    return await key;
  }

  async #fetch(tenantUuid: string, domain: string): Promise<SigningKey> {
    const tenantId = uuidToId('ten', tenantUuid);
    try {
      const { selector, sealedPrivateKey } = await this.#parts.domains.getSigningKey({ domain }, { tenantId });
      const der = this.#parts.sealer.open(sealedPrivateKey, `dkim:${tenantId}:${domain}:${selector}`);
      try {
        return { domain, selector, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) };
      } finally {
        der.fill(0);
      }
    } catch (cause) {
      throw new NoSigningKey(`no DKIM key of ${domain} can be had`, { cause });
    }
  }
}
