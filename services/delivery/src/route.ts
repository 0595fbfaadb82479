// Names of destinations. A destination is who runs the recipients' mail hosts (all of *.google.com is one), because limits and trouble
// belong to operators and not to the thousand domains they serve.
import { organisationalDomain } from '@maildoot/mail/domain';
import type { MailHosts } from './mx.ts';

/**
 * A domain that isn't resolved yet is a destination of its own: this prefix and its name. `~` sorts after every letter, so that in the
 * one order in which ready rows are locked the unresolved ones come last. Claims leave them to the resolver.
 */
export const unresolvedPrefix = '~';

/** The one destination of DELIVERY=smarthost. A name without a dot, which no operator has. */
export const smarthostDestination = 'smarthost';

/** The built-in inbox. */
export const captureDestination = 'capture';

/** Whose lane a domain's mail uses. One whose hosts can't be named has its own: its rows still have to be attempted, to say why. */
export function destinationOf(domain: string, found: MailHosts): string {
  const first = found.kind === 'hosts' ? found.hosts[0] : undefined;
  return first === undefined ? domain : organisationalDomain(first.name);
}

export type Mode = 'capture' | 'direct' | 'smarthost';

/** Where a row goes whatever its domain; undefined when its domain decides. */
export function fixedDestination(mode: Mode, captured: boolean): string | undefined {
  if (captured || mode === 'capture') return captureDestination;
  return mode === 'smarthost' ? smarthostDestination : undefined;
}

/**
 * Where a row's attempt goes now. The stored destination may be of another mode: what a killed process held is freed as it was. `routed`:
 * the destination of the row's domain, where it is known.
 */
export function destinationNow(
  mode: Mode,
  row: { captured: boolean; destination: string; domain: string },
  routed: string | undefined,
): string {
  const stored = row.destination === captureDestination || row.destination === smarthostDestination ? row.domain : row.destination;
  return fixedDestination(mode, row.captured) ?? routed ?? stored;
}
