/** maildoot.rpc.v1.HealthService: what a service says of itself and of what it needs, for the gateway's /healthz. */
import { type GetHealthResponse, HealthServiceService } from '@maildoot/proto/maildoot/rpc/v1/health';
import type { Health } from '@maildoot/runtime/health';
import type { ImplementedService } from './server.ts';

/** `health` undefined: a server that is ready as long as it answers, and needs nothing. */
export function healthReport(health: Health | undefined): ImplementedService {
  const handle = (): GetHealthResponse => {
    if (health === undefined) return { ready: true, dependencies: [] };
    const { ready, dependencies } = health.snapshot();
    const lines = Object.entries(dependencies);
    return { ready, dependencies: lines.map(([name, { ok, detail, since }]) => ({ name, ok, detail: detail ?? '', since })) };
  };
  return { definition: HealthServiceService, methods: { getHealth: { allow: ['gateway'], handle } } };
}
