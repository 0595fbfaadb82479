// Every operation answers bad input in the one shape, whatever is bad about it, and in the order in which things are checked.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { newId } from '@maildoot/runtime/ids';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { bodyFor, keyOperations, nameOf, operations, pathFor } from './operations.ts';
import { type Gateway, responseOf, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  // The bad credentials of each operation come from an address of their own: too many from one would be made to wait.
  gateway = await startGateway(services, { TRUSTED_PROXIES: '127.0.0.1' });
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

/** Some operations do nothing without a query of their own. */
function withQuery(path: string, query: string): string {
  return path + (path.includes('?') ? query.replace('?', '&') : query);
}

for (const route of keyOperations) {
  const call = (options: Parameters<Gateway['call']>[2] = {}, query = '') =>
    gateway.call(route.method, withQuery(pathFor(route, tenant), query), {
      key: tenant.keys.full,
      ...(route.body ? { body: bodyFor(route) } : {}),
      ...options,
    });

  test(`${nameOf(route)}: without a credential, with a wrong and with a revoked one`, async () => {
    const without = await call({ key: undefined });
    assert.equal(without.code, 'MISSING_TOKEN');
    assert.equal(without.headers['www-authenticate'], 'Bearer realm="maildoot"');
    const revoked = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_FULL });
    services.revoke(revoked);
    const wrong = [
      `Bearer ${revoked}`,
      'Bearer mdsk_unknown',
      'Bearer x',
      'Bearer',
      'Basic dTpw',
      `bearer  ${revoked}`,
      `Bearer mdsk_${'x'.repeat(5000)}`,
    ];
    for (const authorization of wrong) {
      const refused = await call({
        key: undefined,
        headers: { authorization, 'x-forwarded-for': `203.0.113.${keyOperations.indexOf(route)}` },
      });
      assert.equal(refused.code, 'INVALID_TOKEN', authorization);
      assert.match(String(refused.headers['www-authenticate']), /error="invalid_token"/);
    }
  });

  test(`${nameOf(route)}: unknown query parameters are named`, async () => {
    const refused = await call({}, '?nonsense=1&metadata_x[y]=2');
    assert.deepEqual(refused.issues.toSorted(), ['metadata_x unknown_field', 'nonsense unknown_field']);
  });

  test(`${nameOf(route)}: the methods that it does not answer are 405 with Allow, also without a credential`, async () => {
    const answered = operations.filter(({ path }) => path === route.path).map(({ method }) => String(method));
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'TRACE'].filter((name) => !answered.includes(name))) {
      const refused = await gateway.call(method, pathFor(route, tenant));
      assert.equal(refused.code, 'METHOD_NOT_ALLOWED');
      assert.ok(String(refused.headers.allow).split(', ').includes(route.method));
    }
  });

  if (route.method === 'GET') {
    test(`${nameOf(route)}: HEAD answers like GET without the body`, async () => {
      const get = await call();
      const head = await gateway.call('HEAD', pathFor(route, tenant), { key: tenant.keys.full });
      assert.equal(head.status, get.status);
      assert.equal(head.text, '');
      assert.equal(head.headers['content-type'], get.headers['content-type']);
      const refused = await gateway.call('HEAD', pathFor(route, tenant));
      assert.equal(refused.status, 401);
    });
  }

  if (route.path.includes(':')) {
    test(`${nameOf(route)}: another tenant’s id answers like one that never existed, byte for byte`, async () => {
      // Its own for each: deleting is one of the operations.
      const other = services.addTenant();
      const never = {
        messageId: newId('msg'),
        batchId: newId('bat'),
        keyId: newId('key'),
        memberId: newId('usr'),
        smtpUserId: newId('smu'),
        callbackId: newId('cbk'),
        templateId: newId('tpl'),
        capturedId: newId('cap'),
        domain: 'never.example',
      };
      const malformed = {
        messageId: 'msg_x',
        batchId: newId('bat'),
        keyId: 'x',
        memberId: 'usr_',
        smtpUserId: 'smu_',
        callbackId: 'cbk_',
        templateId: 'tpl_',
        capturedId: '%20',
        domain: 'a..b',
      };
      const without = (text: string): string => text.replace(/req_[0-9a-z]{26}/g, '');
      const body = route.body && { body: bodyFor(route) };
      const foreign = await gateway.call(route.method, pathFor(route, other), { key: tenant.keys.full, ...body });
      assert.equal(foreign.code, 'NOT_FOUND');
      for (const ids of [never, malformed]) {
        const missing = await gateway.call(route.method, pathFor(route, ids), { key: tenant.keys.full, ...body });
        assert.equal(missing.status, foreign.status);
        assert.equal(without(missing.text), without(foreign.text));
        assert.deepEqual(Object.keys(missing.headers), Object.keys(foreign.headers));
      }
      assert.ok(
        (await gateway.call(route.method, pathFor(route, other), { key: other.keys.full, ...body })).status < 300,
        'its owner is answered',
      );
    });
  }

  if (!route.body) continue;

  test(`${nameOf(route)}: bodies that are not JSON`, async () => {
    for (const [body, headers, status, code] of [
      ['{', {}, 400, 'INVALID_JSON'],
      ...(route.body?.optional ? [] : ([['', {}, 400, 'INVALID_JSON']] as const)),
      ['{"a":}', {}, 400, 'INVALID_JSON'],
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), {}, 400, 'INVALID_JSON'],
      ['['.repeat(5000), {}, 400, 'INVALID_JSON'],
      ['a=b', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['{}', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['{}', { 'content-type': 'application/json; charset=utf-16' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['{}', { 'content-type': 'application/jsonp' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['{}', { 'content-encoding': 'gzip' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['{}', { 'content-type': '' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ] as const) {
      const refused = await call({ body, headers });
      assert.equal(refused.status, status, String(body).slice(0, 20) + JSON.stringify(headers));
      assert.equal(refused.code, code);
    }
  });

  test(`${nameOf(route)}: JSON of other types, and unknown fields`, async () => {
    for (const body of ['null', '5', '"x"', 'true', '{"nonsense":1}', '{"__proto__":{"x":1}}']) {
      const refused = await call({ body });
      assert.equal(refused.code, 'VALIDATION_ERROR', body);
      assert.ok(refused.issues.length > 0);
    }
  });

  test(`${nameOf(route)}: content types that mean JSON are taken`, async () => {
    for (const contentType of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']) {
      assert.ok((await call({ headers: { 'content-type': contentType } })).status < 300, contentType);
    }
  });

  test(`${nameOf(route)}: too large`, async () => {
    const refused = await call({
      body: undefined,
      headers: { 'content-type': 'application/json', 'content-length': String((route.body?.maxBytes ?? 0) + 1), expect: '100-continue' },
    });
    assert.equal(refused.status, 413);
    assert.equal(refused.headers.connection, 'close');
  });

  test(`${nameOf(route)}: who has no right to ask is not told what is wrong with the question`, async () => {
    const bad = { body: '{', headers: { 'content-type': 'text/plain' } };
    assert.equal((await call({ ...bad, key: undefined })).status, 401);
    assert.equal((await call({ ...bad, key: tenant.keys.read })).status, 403);
    assert.equal((await call(bad)).status, 415);
  });
}

test('unknown addresses, broken escapes and odd paths are 404 in the one shape', async () => {
  for (const path of [
    '/',
    '/v1',
    '/v1/message',
    '/v2/messages',
    '/v1/messages/%ZZ',
    '/v1/messages/%ZZ/timeline',
    '/v1/messages/x/y/z',
    '//v1/messages',
    '/V1/messages',
    '/v1/messages/%00',
    '/v1/../v1/nothing',
  ]) {
    const refused = await gateway.call('GET', path, { key: tenant.keys.full });
    assert.equal(refused.code, 'NOT_FOUND', path);
  }
});

test('what is no HTTP is answered in the one shape, then the connection is closed', async () => {
  for (const [text, status] of [
    ['NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n', 400],
    ['GET /v1/messages HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 413],
    [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 413],
    ['POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n', 400],
  ] as const) {
    const answer = await rawExchange(text);
    assert.equal(answer.status, status, text.slice(0, 40));
    assert.match(String(answer.headers['x-request-id']), /^req_/);
    assert.ok(answer.code, text.slice(0, 40));
  }
});

async function rawExchange(text: string): Promise<ReturnType<typeof responseOf>> {
  const { hostname, port } = new URL(gateway.url);
  const received = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let all = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      all += chunk;
      // Kept open where the request was one after all.
      if (all.includes('"docs"')) socket.end();
    });
    socket.on('close', () => resolve(all)).on('error', reject);
  });
  const [head = '', body = ''] = received.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  return responseOf(Number(first.split(' ')[1]), headers, body);
}
