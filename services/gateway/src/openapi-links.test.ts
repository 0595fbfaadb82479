// A link is a promise: the operation is there, takes the parameter, and finds the value in the answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JsonSchema, openapiDocument } from './openapi.ts';
import { routes } from './routes.ts';

const document = openapiDocument(routes, 'https://api.example.com');
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

test('every link leads to an operation that takes what the answer has', () => {
  let count = 0;
  for (const { operationId, responses } of operations) {
    for (const [status, { links = {}, content = {} }] of Object.entries(responses)) {
      for (const [name, link] of Object.entries(links)) {
        count++;
        const where = `${operationId} ${status} → ${name}`;
        const target = operations.find((operation) => operation.operationId === link.operationId);
        assert.ok(target, where);
        for (const [parameter, expression] of Object.entries(link.parameters)) {
          const [place, taken] = parameter.split('.');
          assert.ok(
            target.parameters.some((one) => one.in === place && one.name === taken),
            `${where}: ${parameter}`,
          );
          const pointer = /^\$response\.body#\/(.+)$/.exec(expression)?.[1]?.split('/') ?? [];
          assert.ok(pointer.length > 0 && isSaid(content['application/json']?.schema, pointer), `${where}: ${expression}`);
        }
      }
    }
  }
  assert.ok(count > 30);
});

test('every operation with an id in its path is reached by a link, but for those behind tokens of mail', () => {
  const reached = new Set(operations.flatMap(({ responses }) => Object.values(responses).flatMap(({ links }) => targets(links))));
  for (const { operationId, parameters } of operations) {
    const own = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    if (own.length > 0 && !own.includes('token')) assert.ok(reached.has(operationId), operationId);
  }
});

test('what is none of the answer’s is found out', () => {
  const schema = { type: 'object', properties: { data: { type: 'array', items: { properties: { id: { type: 'string' } } } } } };
  assert.ok(isSaid(schema, ['data', '0', 'id']));
  assert.ok(!isSaid(schema, ['data', '0', 'name']));
});

function targets(links: Record<string, { operationId: string }> = {}): string[] {
  return Object.values(links).map(({ operationId }) => operationId);
}

/** Whether a schema names the value at a JSON pointer. */
function isSaid(schema: JsonSchema | undefined, pointer: readonly string[]): boolean {
  if (schema === undefined) return false;
  const { $ref, anyOf, items, properties } = schema as {
    $ref?: string;
    anyOf?: JsonSchema[];
    items?: JsonSchema;
    properties?: Record<string, JsonSchema>;
  };
  if ($ref !== undefined) return isSaid(document.components.schemas[$ref.split('/').at(-1) ?? ''], pointer);
  if (anyOf) return anyOf.some((option) => isSaid(option, pointer));
  const [part, ...rest] = pointer;
  if (part === undefined) return true;
  return /^\d+$/.test(part) ? isSaid(items, rest) : isSaid(properties?.[part], rest);
}
