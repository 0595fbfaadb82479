// Two OpenAPI documents → what has changed for a client that was written to the older one. A request that was good must stay good: what was
// taken is a part of what is taken. An answer must be what was promised: what is given is a part of what was given, with more fields and
// more words where clients are told to expect them. Own code, because the maintained libraries that know OpenAPI 3.1 need another runtime or
// the network when they are installed.
import { type Finding, type JsonObject, listOf, type Note, objectOf, Pair } from './openapi-schemas.ts';

const methods = ['get', 'put', 'post', 'patch', 'delete'];

export function compare(released: JsonObject, served: JsonObject, today: string): Finding[] {
  // What is wrong with a schema is said once, however many operations use it.
  const findings = new Map<string, Finding>();
  const note: Note = (weight, where, what) => void findings.set(`${weight} ${where} ${what}`, { weight, where, what });
  const pair = new Pair(released, served, note);
  const before = operationsOf(released);
  const now = operationsOf(served);
  for (const [where, old] of before) {
    const operation = now.get(where);
    if (operation === undefined) {
      const sunset = old['x-sunset'];
      if (typeof sunset === 'string' && sunset <= today) note('addition', where, `gone, as its sunset on ${sunset} said`);
      else note('breaking', where, 'the operation is gone');
    } else compareOperation(pair, where, old, operation, note);
  }
  for (const where of now.keys()) if (!before.has(where)) note('addition', where, 'a new operation');
  return [...findings.values()];
}

function operationsOf(document: JsonObject): Map<string, JsonObject> {
  return new Map(
    Object.entries(objectOf(document.paths)).flatMap(([path, item]) =>
      methods.flatMap((method): [string, JsonObject][] => {
        const operation = objectOf(item)[method];
        // Names of placeholders are nobody's business but ours.
        return operation === undefined ? [] : [[`${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, '{}')}`, objectOf(operation)]];
      }),
    ),
  );
}

function compareOperation(pair: Pair, where: string, old: JsonObject, operation: JsonObject, note: Note): void {
  if (old.operationId !== operation.operationId) note('breaking', where, `operationId was ${old.operationId}, is ${operation.operationId}`);
  if (old.deprecated !== true && operation.deprecated === true) note('addition', where, `deprecated, until ${operation['x-sunset']}`);
  if (old.deprecated === true && String(operation['x-sunset'] ?? '9') < String(old['x-sunset']))
    note('breaking', where, `its sunset was ${old['x-sunset']}, is ${operation['x-sunset']}`);
  const schemes = listOf(operation.security).map((scheme) => JSON.stringify(scheme));
  if (listOf(old.security).length === 0 && schemes.length > 0) note('breaking', where, 'it needs a credential now');
  if (schemes.length > 0)
    for (const scheme of listOf(old.security))
      if (!schemes.includes(JSON.stringify(scheme)))
        note('breaking', where, `credential ${Object.keys(objectOf(scheme))} is not taken any more`);

  const named = (one: JsonObject) => new Map(listOf(one.parameters).map((parameter) => [nameOf(objectOf(parameter)), objectOf(parameter)]));
  const [parameters, oldParameters] = [named(operation), named(old)];
  for (const [name, was] of oldParameters) {
    const is = parameters.get(name);
    if (is === undefined) note('breaking', where, `${name} is not taken any more`);
    else {
      if (was.required !== true && is.required === true) note('breaking', where, `${name} is required now`);
      if (was.style !== is.style || was.explode !== is.explode) note('breaking', where, `${name} is written in another way`);
      pair.part('request', `${where} ${name}`, was.schema ?? {}, is.schema ?? {});
    }
  }
  for (const [name, is] of parameters)
    if (!oldParameters.has(name))
      note(is.required === true ? 'breaking' : 'addition', where, `${name} is new${is.required === true ? ' and required' : ''}`);

  compareBody(pair, where, old, operation, note);
  compareResponses(pair, where, objectOf(old.responses), objectOf(operation.responses), note);
}

/** Of path parameters the place counts, not the name. */
function nameOf(parameter: JsonObject): string {
  return `${parameter.in} parameter ${parameter.in === 'path' ? '' : parameter.name}`.trimEnd();
}

function compareBody(pair: Pair, where: string, old: JsonObject, operation: JsonObject, note: Note): void {
  const [was, is] = [old.requestBody, operation.requestBody].map((body) => (body === undefined ? undefined : objectOf(body)));
  if (is === undefined) {
    if (was !== undefined) note('breaking', where, 'it takes no body any more');
    return;
  }
  if (is.required === true && was?.required !== true) note('breaking', where, 'its body is required now');
  for (const [type, content] of Object.entries(objectOf(was?.content))) {
    const other = objectOf(is.content)[type];
    if (other === undefined) note('breaking', where, `a body of ${type} is not taken any more`);
    else pair.part('request', `${where} body`, objectOf(content).schema ?? {}, objectOf(other).schema ?? {});
  }
}

function compareResponses(pair: Pair, where: string, old: JsonObject, responses: JsonObject, note: Note): void {
  for (const [status, was] of Object.entries(old)) {
    const is = responses[status];
    if (is === undefined) {
      note('breaking', where, `${status} is not answered any more`);
      continue;
    }
    for (const [type, content] of Object.entries(objectOf(objectOf(was).content))) {
      const other = objectOf(objectOf(is).content)[type];
      if (other === undefined) note('breaking', where, `${status} has no ${type} any more`);
      else pair.part('answer', `${where} ${status}`, objectOf(other).schema ?? {}, objectOf(content).schema ?? {});
    }
    for (const [name, header] of Object.entries(objectOf(objectOf(was).headers))) {
      const other = objectOf(objectOf(is).headers)[name];
      if (other === undefined) note('breaking', where, `${status} has no header ${name} any more`);
      else if (pair.old(header).required === true && pair.new(other).required !== true)
        note('breaking', where, `${status} has its header ${name} not always any more`);
    }
  }
  for (const status of Object.keys(responses))
    if (!(status in old)) note(status < '400' ? 'warning' : 'addition', where, `${status} is a new answer`);
}
