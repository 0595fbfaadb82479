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

/** Where a row goes whatever its domain; undefined when its domain decides. */
export function fixedDestination(mode: 'capture' | 'direct' | 'smarthost', captured: boolean): string | undefined {
  if (captured || mode === 'capture') return captureDestination;
  return mode === 'smarthost' ? smarthostDestination : undefined;
}
