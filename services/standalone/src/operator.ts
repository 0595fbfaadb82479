/**
 * `make operator DO="…"`: what the installation's operator does on the running platform. Prints what came of it as JSON.
 *
 *   tenants                                          every tenant, newest first
 *   suspend ten_… [--reason "…"]                     the tenant may look, and do nothing
 *   release ten_…
 *   quotas ten_… [--messages-per-day 1000] [--requests-per-minute 600] [--sends-per-minute 600]      what is left out has its default
 *   password ada@example.com                         a link by which the user chooses a password, once, within a day
 *   rotate-signing-key [--compromised]               another key signs access tokens; --compromised ends the tokens of all others
 *   destinations [--limit 100]                       what waits for whom, of all accounts; those with most of it first
 */
import { parseArgs } from 'node:util';
import type { Tenant } from '@maildoot/proto/maildoot/auth/v1/operator';
import type { Destination } from '@maildoot/proto/maildoot/delivery/v1/destination';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from './config.ts';
import { Home, HomeError } from './home.ts';
import { connectAuth, connectDelivery, type OperatorClient, passwordPage, running } from './operator-client.ts';
import { reportAndExit } from './print.ts';

const options = {
  reason: { type: 'string', default: '' },
  'messages-per-day': { type: 'string', default: '0' },
  'requests-per-minute': { type: 'string', default: '0' },
  'sends-per-minute': { type: 'string', default: '0' },
  limit: { type: 'string', default: '100' },
  compromised: { type: 'boolean', default: false },
} as const;

async function operator(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [what, subject = ''] = positionals;
  const home = await Home.open(loadSettings(settings, process.env).home);
  const { authAddress, deliveryAddress, api } = await running(home);
  await using auth = connectAuth(home, authAddress);
  const shown = await done();
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);

  async function done(): Promise<unknown> {
    switch (what) {
      case 'tenants':
        return (await allTenants(auth)).map(shownTenant);
      case 'suspend':
        return shownTenant((await auth.suspendTenant({ tenantId: subject, reason: values.reason })).tenant);
      case 'release':
        return shownTenant((await auth.releaseTenant({ tenantId: subject })).tenant);
      case 'quotas': {
        const quotas = {
          messagesPerDay: BigInt(number('messages-per-day')),
          requestsPerMinute: number('requests-per-minute'),
          sendsPerMinute: number('sends-per-minute'),
        };
        return shownTenant((await auth.setQuotas({ tenantId: subject, quotas })).tenant);
      }
      case 'password': {
        const { token, expiresAt, userId } = await auth.createPasswordLink({ email: subject, onlyIfNone: false });
        return { user_id: userId, password_link: passwordPage(api, token), expires_at: expiresAt?.toISOString() };
      }
      case 'rotate-signing-key':
        return await auth.rotateSigningKey({ compromised: values.compromised });
      case 'destinations': {
        await using delivery = connectDelivery(home, deliveryAddress);
        const { destinations, hasMore } = await delivery.listDestinations({ limit: number('limit') });
        return { data: destinations.map(shownDestination), has_more: hasMore };
      }
      default:
        throw new HomeError(
          'say what: tenants, suspend, release, quotas, password, rotate-signing-key or destinations (services/standalone/src/operator.ts tells how)',
        );
    }
  }

  function number(name: 'messages-per-day' | 'requests-per-minute' | 'sends-per-minute' | 'limit'): number {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 0) throw new HomeError(`--${name} must be a whole number; 0 is the default`);
    return value;
  }
}

async function allTenants(auth: OperatorClient): Promise<Tenant[]> {
  const tenants: Tenant[] = [];
  for (let afterId = ''; ; afterId = tenants.at(-1)?.id ?? '') {
    const page = await auth.listTenants({ limit: 100, afterId });
    tenants.push(...page.tenants);
    if (!page.hasMore) return tenants;
  }
}

function shownTenant(tenant: Tenant | undefined): unknown {
  return (
    tenant && {
      id: tenant.id,
      name: tenant.name,
      owner: tenant.ownerEmail,
      created_at: tenant.createdAt?.toISOString(),
      suspended_at: tenant.suspendedAt?.toISOString() ?? null,
      suspension_reason: tenant.suspensionReason || null,
      messages_per_day: Number(tenant.quotas?.messagesPerDay ?? 0n) || null,
      requests_per_minute: tenant.quotas?.requestsPerMinute || null,
      sends_per_minute: tenant.quotas?.sendsPerMinute || null,
    }
  );
}

function shownDestination(destination: Destination): unknown {
  return {
    name: destination.name,
    resolved: destination.resolved,
    due: Number(destination.due),
    later: Number(destination.later),
    under_way: Number(destination.underWay),
    suspended: Number(destination.suspended),
    tenants: destination.tenants,
    oldest_due_at: destination.oldestDueAt?.toISOString() ?? null,
    back_off_until: destination.backOffUntil?.toISOString() ?? null,
    failures: destination.failures,
  };
}

await operator().catch(reportAndExit);
