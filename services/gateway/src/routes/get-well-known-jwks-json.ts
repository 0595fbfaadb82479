// GET /.well-known/jwks.json: the keys that access tokens are signed with (RFC 7517), for whoever checks them without asking us.
import { z } from 'zod';
import { defineOpenRoute, json } from '../route.ts';

const schema = z
  .strictObject({
    keys: z.array(
      z.strictObject({
        kty: z.literal('RSA'),
        use: z.literal('sig'),
        alg: z.literal('RS256'),
        kid: z.string(),
        n: z.string(),
        e: z.string(),
      }),
    ),
  })
  .meta({ id: 'Jwks' });

export const getWellKnownJwksJson = defineOpenRoute({
  method: 'GET',
  path: '/.well-known/jwks.json',
  operationId: 'getJwks',
  tag: 'Auth',
  summary: 'The public keys of access tokens',
  description: 'A new key may appear at any time; a replaced one stays for as long as tokens of it may be about.',
  errors: [],
  failures: ['UNAVAILABLE'],
  responses: [
    {
      status: 200,
      description: 'The keys.',
      schema,
      example: {
        keys: [
          { kty: 'RSA', use: 'sig', alg: 'RS256', kid: '01kg97xw00fscrrszmz39ef7mt', n: 'sXchDaQebHnPiGvyDOAT4saGEUetSyo9', e: 'AQAB' },
        ],
      },
    },
  ],
  // Short, so that a withdrawn key is not believed for long.
  handle: async (_input, { sessionTokens }) => json(200, await sessionTokens.jwks(), { 'Cache-Control': 'public, max-age=60' }),
});
