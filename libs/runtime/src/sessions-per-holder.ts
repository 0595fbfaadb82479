// How many sessions one holder of addresses has open at a door, so that one host can't take all of them.
import { isIP } from 'node:net';
import { holderOf } from './networks.ts';

export interface SessionsPerHolderOptions {
  most: number;
  /** Without it, who is on this host already has as many as they like. */
  countLoopback?: boolean;
}

export class SessionsPerHolder {
  readonly #options: SessionsPerHolderOptions;
  /** By the session's id, whose it is. */
  readonly #open = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  constructor(options: SessionsPerHolderOptions) {
    this.#options = options;
  }

  /** False when its holder has the most already; it is not counted then. What has no IP address, behind a Unix socket, is not counted. */
  begin(id: string, address: string): boolean {
    if (isIP(address) === 0 || (isLoopback(address) && !this.#options.countLoopback)) return true;
    const holder = holderOf(address);
    const count = this.#counts.get(holder) ?? 0;
    if (count >= this.#options.most) return false;
    this.#counts.set(holder, count + 1);
    this.#open.set(id, holder);
    return true;
  }

  /** Also of sessions that were not counted. */
  end(id: string): void {
    const holder = this.#open.get(id);
    if (holder === undefined) return;
    this.#open.delete(id);
    const count = (this.#counts.get(holder) ?? 0) - 1;
    if (count > 0) this.#counts.set(holder, count);
    else this.#counts.delete(holder);
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
