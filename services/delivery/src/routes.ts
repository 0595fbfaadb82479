// What this process knows about domains' mail hosts: asked of DNS once in a while, kept in memory, and the destination saved so that the
// next rows of the domain are enqueued there right away.
import type { Clock } from '@maildoot/runtime/clock';
import type { Resolver } from '@maildoot/runtime/resolver';
import { findMailHosts, type MailHosts } from './mx.ts';
import { destinationOf } from './route.ts';

// Node doesn't tell the TTL of an MX record. Five minutes is what most publish at least; an outage is asked about again before the first retry.
const keepFoundMs = 300_000;
const keepAbsentMs = 60_000;
const keepUnansweredMs = 15_000;
const maxDomains = 50_000;

export interface Route {
  domain: string;
  destination: string;
  found: MailHosts;
  expiresAt: Date;
}

export class Routes {
  readonly #known = new Map<string, Route>();
  readonly #asking = new Map<string, Promise<Route>>();
  readonly #parts: { resolver: Resolver; clock: Clock; save(route: Route): Promise<void> };

  constructor(parts: { resolver: Resolver; clock: Clock; save(route: Route): Promise<void> }) {
    this.#parts = parts;
  }

  /** What is known now, without asking. */
  peek(domain: string): Route | undefined {
    const route = this.#known.get(domain);
    if (route === undefined || route.expiresAt > this.#parts.clock.now()) return route;
    this.#known.delete(domain);
    return undefined;
  }

  /** The route of a domain; asks DNS when it isn't known or has expired. One question at a time per domain. */
  async find(domain: string): Promise<Route> {
    const known = this.peek(domain);
    if (known !== undefined) return known;
    let asking = this.#asking.get(domain);
    if (asking === undefined) {
      asking = this.#ask(domain).finally(() => this.#asking.delete(domain));
      this.#asking.set(domain, asking);
    }
    return await asking;
  }

  async #ask(domain: string): Promise<Route> {
    const { resolver, clock, save } = this.#parts;
    const found = await findMailHosts(domain, resolver);
    const keepMs = found.kind === 'hosts' ? keepFoundMs : found.kind === 'dns_unavailable' ? keepUnansweredMs : keepAbsentMs;
    const route: Route = { domain, destination: destinationOf(domain, found), found, expiresAt: new Date(clock.now().getTime() + keepMs) };
    const oldest = this.#known.keys().next();
    if (this.#known.size >= maxDomains && !oldest.done) this.#known.delete(oldest.value);
    this.#known.set(domain, route);
    await save(route);
    return route;
  }
}
