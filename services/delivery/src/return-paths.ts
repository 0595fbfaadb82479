// Where bounces that come later go: a MAIL FROM for each recipient, at the host that the From domain has for it, or at our own. What is
// known of a domain is kept for a minute, so that mail doesn't wait for a question; where nobody can be asked, our own host does.
import { returnPathLocalPart } from '@maildoot/mail/return-path';
import type { LinkKey } from '@maildoot/mail/tracking-token';
import type { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcClient } from '@maildoot/rpc/client';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import { captureDestination } from './route.ts';
import type { DueRow } from './store/due.ts';

export interface ReturnPathsParts {
  domains: Pick<RpcClient<typeof DomainServiceService>, 'getMailHosts'>;
  key: LinkKey;
  /** The installation's own; undefined = there is none. */
  host: string | undefined;
  /** Whose mail has a return path in any case. */
  simulatorDomain: string;
  clock: Clock;
  onFailure(error: unknown): void;
}

const keepMs = 60_000;
const keepFailureMs = 5_000;
const deadlineMs = 1_000;
const maxDomains = 10_000;

type Sender = Pick<DueRow, 'tenantId' | 'signingDomain' | 'mailFrom' | 'destination' | 'domain'>;

export class ReturnPaths {
  readonly #parts: ReturnPathsParts;
  readonly #hosts = new Map<string, { host: string; until: Date }>();

  constructor(parts: ReturnPathsParts) {
    this.#parts = parts;
  }

  /** Asks about those whose domain isn't known, if any. Never rejects, and is over soon. */
  load(rows: readonly Sender[]): Promise<unknown> | undefined {
    const now = this.#parts.clock.now();
    const unknown = new Map(
      rows
        .filter((row) => this.#takesOne(row) && row.signingDomain !== '')
        .flatMap((row) => (this.#known(row, now) ? [] : [[keyOf(row), row]])),
    );
    return unknown.size === 0 ? undefined : Promise.all([...unknown.values()].map((row) => this.#ask(row)));
  }

  /** The MAIL FROM of one recipient; undefined where it is the sender's own address. */
  of(row: DueRow): string | undefined {
    const host = this.#hostOf(row);
    return host === undefined ? undefined : `${returnPathLocalPart(this.#parts.key, row)}@${host}`;
  }

  /** Whether a recipient has a transaction of its own: with a MAIL FROM of its own, or because the simulator takes it wherever others go. */
  goesAlone(row: Sender): boolean {
    return this.#hostOf(row) !== undefined || row.domain === this.#parts.simulatorDomain;
  }

  #hostOf(row: Sender): string | undefined {
    if (!this.#takesOne(row)) return undefined;
    const { host, simulatorDomain } = this.#parts;
    return this.#hosts.get(keyOf(row))?.host || host || (row.domain === simulatorDomain ? simulatorDomain : undefined);
  }

  /** Nothing comes back from the built-in inbox, and nothing is answered to a null reverse-path (RFC 5321 section 4.5.5). */
  #takesOne({ destination, mailFrom, domain }: Sender): boolean {
    return mailFrom !== '' && (destination !== captureDestination || domain === this.#parts.simulatorDomain);
  }

  #known(row: Sender, now: Date): boolean {
    const known = this.#hosts.get(keyOf(row));
    return known !== undefined && known.until > now;
  }

  async #ask(row: Sender): Promise<void> {
    const { domains, clock, onFailure } = this.#parts;
    let host = '';
    let forMs = keepMs;
    try {
      const options = { tenantId: uuidToId('ten', row.tenantId), deadlineMs };
      host = (await domains.getMailHosts({ domain: row.signingDomain }, options)).returnPathHost;
    } catch (error) {
      onFailure(error);
      // What was true a minute ago is better than what is true of every domain.
      host = this.#hosts.get(keyOf(row))?.host ?? '';
      forMs = keepFailureMs;
    }
    const oldest = this.#hosts.keys().next();
    if (this.#hosts.size >= maxDomains && !oldest.done) this.#hosts.delete(oldest.value);
    this.#hosts.set(keyOf(row), { host, until: new Date(clock.now().getTime() + forMs) });
  }
}

function keyOf({ tenantId, signingDomain }: Sender): string {
  return `${tenantId}/${signingDomain}`;
}
