// Webhooks over TLS: told to a receiver whose certificate somebody vouches for that this installation trusts, and to no other.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { createCertificate } from '@maildoot/runtime/certificate';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { startReceiver } from '@maildoot/testkit/webhook-receiver';
import { createWorld, type World } from './world.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const dayMs = 86_400_000;

/** Of the role callbacks, as a Deployment would start it: what it trusts is its environment's to say. */
function startProcess(world: World, extraCaFile: string): ChildProcess {
  return spawn(process.execPath, [main], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      NODE_EXTRA_CA_CERTS: extraCaFile,
      DATABASE_URL: world.databaseUrl,
      DATABASE_CONNECTIONS: '5',
      RPC_SECRET: 'a secret that nobody is asked with in this test',
      SEAL_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
      DOMAIN_ADDRESS: '127.0.0.1:1',
      DELIVERY_ADDRESS: '127.0.0.1:1',
      MESSAGING_ROLE: 'callbacks',
      CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8',
      LOG_LEVEL: 'error',
    },
  });
}

it('a certificate that is trusted takes webhooks; one of nobody, of another host or out of date takes none, and the attempts say why', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-https-'));
  const trusted = createCertificate({ names: ['127.0.0.1'] });
  const otherHost = createCertificate({ names: ['hooks.example'] });
  const outOfDate = createCertificate({
    names: ['127.0.0.1'],
    notBefore: new Date(Date.now() - 9 * dayMs),
    notAfter: new Date(Date.now() - dayMs),
  });
  const caFile = join(directory, 'ca.pem');
  await writeFile(caFile, [trusted, otherHost, outOfDate].map(({ cert }) => cert).join(''));
  const certificates = { trusted, nobody: createCertificate({ names: ['127.0.0.1'] }), otherHost, outOfDate };

  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const world = stack.use(await createWorld({ env: { MESSAGING_ROLE: 'api', CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8' } }));
  const { tenantId } = world;
  const told: Record<string, { id: string; receiver: Awaited<ReturnType<typeof startReceiver>> }> = {};
  for (const [name, certificate] of Object.entries(certificates)) {
    const receiver = stack.use(await startReceiver({ certificate }));
    const { callback, secret } = await world.callbacks.createCallback(
      { url: receiver.httpsUrl('p'), events: ['domain.*'], description: '', repeatable: undefined },
      { tenantId },
    );
    await receiver.behave('p', { secrets: [secret] });
    told[name] = { id: callback?.id ?? '', receiver };
  }
  const child = startProcess(world, caFile);
  stack.defer(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const event = newId('evt');
  await world.tenantEvents.appendTenantEvent(
    { id: event, type: 'domain.verified', at: new Date(), dataJson: Buffer.from('{}') },
    { tenantId },
  );

  const firstAttempt = async (name: string) => {
    const id = told[name]?.id ?? '';
    return waitFor(
      async () => (await world.callbacks.listCallbackAttempts({ id, limit: 1, afterId: '', eventId: '' }, { tenantId })).attempts[0],
      { what: `the attempt at ${name}` },
    );
  };
  const good = await firstAttempt('trusted');
  assert.deepEqual([good.outcome, good.httpStatus], [CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED, 200], good.detail);
  assert.deepEqual(
    (await told.trusted?.receiver.seen('p'))?.map(({ id, verified }) => [id, verified]),
    [[event, [true]]],
  );
  for (const [name, says] of [
    ['nobody', /self.signed certificate/],
    ['otherHost', /does not match certificate|altnames/],
    ['outOfDate', /certificate has expired/],
  ] as const) {
    const { outcome, httpStatus, detail, nextAttemptAt } = await firstAttempt(name);
    assert.deepEqual([outcome, httpStatus], [CallbackOutcome.CALLBACK_OUTCOME_TLS_FAILED, 0], `${name}: ${detail}`);
    assert.match(detail, says, name);
    assert.ok(nextAttemptAt !== undefined, `${name} is tried again`);
    assert.deepEqual(await told[name]?.receiver.seen('p'), [], name);
  }
});
