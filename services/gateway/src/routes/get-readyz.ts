// GET /readyz: whether requests should be sent here. No while starting or draining, and for no other reason.
import { z } from 'zod';
import { definePublicRoute, json } from '../route.ts';

const schema = z.strictObject({ status: z.enum(['starting', 'ready', 'draining']) }).meta({ id: 'Readiness' });

export const getReadyz = definePublicRoute({
  method: 'GET',
  path: '/readyz',
  operationId: 'getReadiness',
  tag: 'Platform',
  summary: 'Whether requests should be sent here',
  responses: [
    { status: 200, description: 'Yes.', schema, example: { status: 'ready' } },
    { status: 503, description: 'No: it is starting or draining.', schema, example: { status: 'draining' } },
  ],
  handle: ({ health }) => json(health.state === 'ready' ? 200 : 503, { status: health.state }),
});
