// Asking DNS what is published. Verification wants to see what is there now, so it asks the domain's own name servers, past every cache,
// unless the operator has named servers for every lookup. The decision what the answers mean is verification.ts.
//
// Names of name servers, their addresses and the targets of CNAME records are the customer's to choose: addresses inside our networks are
// never asked, and everything together has an end in time and number.

import { isRefusedAddress } from '@maildoot/runtime/guarded-connect';
import { createResolver, DnsError, type Resolver } from '@maildoot/runtime/resolver';
import type { Answer } from './verification.ts';

export interface Question {
  type: 'TXT' | 'CNAME' | 'MX';
  name: string;
  /** Of a CNAME: the name that is looked for; nothing is asked beyond it. */
  until?: string;
}

export interface Lookup {
  /**
   * One answer per question, in their order; takes no longer than `timeoutMs`. What goes wrong on the way is an answer too (`unknown`).
   * A CNAME's values are the names that it leads to, one after the other; an MX's are written `10 mx.example.com`.
   */
  ask(questions: readonly Question[], timeoutMs: number, signal?: AbortSignal): Promise<Answer[]>;
}

export interface LookupOptions {
  /** Servers for every lookup; empty = the system's, and through them the domain's own. */
  dnsServers: readonly string[];
  allowNetworks: readonly string[];
  authoritativePort: number;
}

const maxCnameHops = 8;
const maxNameServers = 6;
const maxAddresses = 8;
const maxValues = 50;
const maxValueCharacters = 4096;
/** Short enough that a second server gets its turn within the five seconds. */
const perServer = { timeoutMs: 1200, tries: 1 };

export function createLookup(options: LookupOptions): Lookup {
  if (options.dnsServers.length > 0) {
    const resolver = createResolver(options.dnsServers, { timeoutMs: 1500, tries: 2 });
    return lookupThrough(() => async () => resolver);
  }
  return lookupAtDomainsOwnServers(createResolver([]), options);
}

/** As it is when no servers are named: `resolver` finds the name servers, which are then asked themselves. */
export function lookupAtDomainsOwnServers(resolver: Resolver, options: Omit<LookupOptions, 'dnsServers'>): Lookup {
  return lookupThrough((signal) => serversOf(resolver, options, signal));
}

/** Whom to ask about a name. Made anew for each look, so that nothing is remembered longer. */
type FindServers = (signal: AbortSignal) => ResolverFor;
/** undefined: nobody has the name, so there is nothing at it. */
type ResolverFor = (name: string) => Promise<Resolver | undefined>;

function lookupThrough(findServers: FindServers): Lookup {
  return {
    async ask(questions, timeoutMs, given) {
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = given === undefined ? timeout : AbortSignal.any([given, timeout]);
      const resolverFor = findServers(signal);
      return Promise.all(questions.map((question) => lookAt(question, resolverFor, signal)));
    },
  };
}

async function lookAt({ type, name, until }: Question, resolverFor: ResolverFor, signal: AbortSignal): Promise<Answer> {
  try {
    return type === 'CNAME' ? await aliases(name, until, resolverFor, signal) : await follow(type, name, resolverFor, signal);
  } catch (error) {
    return { kind: 'unknown', reason: reasonOf(error, signal) };
  }
}

/**
 * An authority answers for its own zones only: where the name is an alias that leads out of them, its answer has the CNAME and no TXT or MX,
 * and the next one is asked (RFC 1034 section 3.6.2).
 */
async function follow(type: 'TXT' | 'MX', name: string, resolverFor: ResolverFor, signal: AbortSignal): Promise<Answer> {
  let asked = name;
  for (let hops = 0; hops <= maxCnameHops; hops++) {
    const resolver = await resolverFor(asked);
    if (resolver === undefined) return { kind: 'nothing' };
    const values = await orAbsent(valuesAt(resolver, type, asked, signal));
    if (values !== undefined) return { kind: 'values', values: values.slice(0, maxValues).map(presentable) };
    const [target] = (await orAbsent(resolver.resolveCname(asked, signal))) ?? [];
    if (target === undefined) return { kind: 'nothing' };
    asked = target;
  }
  throw new LookupProblem(`more than ${maxCnameHops} CNAME records in a row`);
}

/** Sorted, so that two looks at the same are the same. */
async function valuesAt(resolver: Resolver, type: 'TXT' | 'MX', name: string, signal: AbortSignal): Promise<string[]> {
  if (type === 'TXT') return (await resolver.resolveTxt(name, signal)).sort();
  return (await resolver.resolveMx(name, signal)).map(({ priority, exchange }) => `${priority} ${exchange === '' ? '.' : exchange}`);
}

/** The way from one name to the next. It may lead through names of the customer's before it comes to ours. */
async function aliases(name: string, until: string | undefined, resolverFor: ResolverFor, signal: AbortSignal): Promise<Answer> {
  const way: string[] = [];
  for (let asked = name; way.length < maxCnameHops && (until === undefined || way.at(-1) !== until); ) {
    const resolver = await resolverFor(asked);
    const [target] = (resolver && (await orAbsent(resolver.resolveCname(asked, signal)))) ?? [];
    if (target === undefined) break;
    way.push(presentable(target.toLowerCase().replace(/\.$/, '')));
    asked = target;
  }
  return way.length === 0 ? { kind: 'nothing' } : { kind: 'values', values: way };
}

/** Why a look told nothing, where it isn't DNS itself that says so; safe to show. */
class LookupProblem extends Error {}

function reasonOf(error: unknown, signal: AbortSignal): string {
  if (error instanceof LookupProblem) return error.message;
  if (signal.aborted) return 'timeout: the name servers took too long';
  if (error instanceof DnsError) {
    switch (error.code) {
      case 'TIMEOUT':
        return 'timeout: no name server answered';
      case 'SERVFAIL':
        return 'SERVFAIL: the name server could not answer';
      case 'BAD_NAME':
        return 'a CNAME record leads to something that is no name';
      case 'NXDOMAIN':
      case 'NODATA':
        return 'no answer';
    }
  }
  throw error;
}

/** undefined where DNS says that there is none; every other failure stays one. */
async function orAbsent<T>(records: Promise<T>): Promise<T | undefined> {
  try {
    return await records;
  } catch (error) {
    if (error instanceof DnsError && error.absent) return undefined;
    throw error;
  }
}

/**
 * 1. walk up from the name to the zone that it is in: the first name on the way with NS records
 * 2. the addresses of those name servers, without ours
 * 3. a resolver that asks exactly these addresses
 */
function serversOf(resolver: Resolver, { allowNetworks, authoritativePort }: Omit<LookupOptions, 'dnsServers'>, signal: AbortSignal) {
  const known = new Map<string, Promise<Resolver | undefined>>();

  async function serversOfZone(zone: string): Promise<Resolver | undefined> {
    const names = await orAbsent(resolver.resolveNs(zone, signal));
    if (names === undefined) return undefined;
    // Asked about an alias, a resolver answers for its target, whose servers know nothing of this name. An alias is no zone (RFC 1034 section 3.6.2).
    if ((await orAbsent(resolver.resolveCname(zone, signal))) !== undefined) return undefined;
    const found = await Promise.allSettled(
      names.slice(0, maxNameServers).flatMap((name) => [resolver.resolve4(name, signal), resolver.resolve6(name, signal)]),
    );
    const addresses = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (addresses.length === 0) throw new LookupProblem(`the name servers of ${zone} have no addresses`);
    const allowed = addresses.filter((address) => !isRefusedAddress(address, allowNetworks));
    if (allowed.length === 0) throw new LookupProblem(`the name servers of ${zone} have no public address`);
    // IPv4 first: not every network that we run in has IPv6.
    const ordered = [...allowed.filter((address) => !address.includes(':')), ...allowed.filter((address) => address.includes(':'))];
    return createResolver(
      ordered
        .slice(0, maxAddresses)
        .map((address) => (address.includes(':') ? `[${address}]:${authoritativePort}` : `${address}:${authoritativePort}`)),
      perServer,
    );
  }

  return async (name: string): Promise<Resolver | undefined> => {
    // Not up to the top-level domain: where nobody has delegated anything on the way, the domain doesn't exist.
    for (let zone = name; zone.includes('.'); zone = zone.slice(zone.indexOf('.') + 1)) {
      const pending = known.get(zone) ?? serversOfZone(zone);
      known.set(zone, pending);
      const found = await pending;
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** As zone files write it (RFC 1035 section 5.1): PostgreSQL takes no NUL, and people see what is there. */
function presentable(text: string): string {
  const shown = text.replace(/[\p{Cc}\p{Cs}]/gu, (character) => `\\${character.charCodeAt(0).toString().padStart(3, '0')}`);
  return shown.length > maxValueCharacters ? `${shown.slice(0, maxValueCharacters)}…` : shown;
}
