// GET /healthz: how the gateway is, the services that it asks, and what those need. 200 as long as the process answers: trouble with a dependency is no
// reason to restart it.
import { z } from 'zod';
import { definePublicRoute, json } from '../route.ts';

const schema = z
  .strictObject({
    status: z.enum(['starting', 'ready', 'draining']),
    dependencies: z.record(z.string(), z.strictObject({ ok: z.boolean(), detail: z.string().nullable(), since: z.iso.datetime() })),
  })
  .meta({ id: 'Health' });

export const getHealthz = definePublicRoute({
  method: 'GET',
  path: '/healthz',
  operationId: 'getHealth',
  tag: 'Platform',
  summary: 'How the platform is, dependency by dependency',
  responses: [
    {
      status: 200,
      description: 'The process is alive. `dependencies` says whom it can reach, and what those say of what they need.',
      schema,
      example: {
        status: 'ready',
        dependencies: {
          auth: { ok: true, detail: null, since: '2026-01-31T08:00:00.000Z' },
          'auth.database': { ok: false, detail: 'cannot be reached', since: '2026-01-31T09:30:00.000Z' },
        },
      },
    },
  ],
  handle: async ({ health, peers }) => {
    const beyond = await peers.check();
    const { state, dependencies } = health.snapshot();
    const lines = Object.entries({ ...dependencies, ...beyond }).map(([name, { ok, detail, since }]) => [
      name,
      { ok, detail: detail ?? null, since: since.toISOString() },
    ]);
    return json(200, { status: state, dependencies: Object.fromEntries(lines) });
  },
});
