/**
 * 202 means durable. Messages are sent under load while everything (PostgreSQL too) is killed with SIGKILL at random moments and
 * started again. Three records that do not know each other are reconciled: the client's file of acknowledgements, the
 * receiver's file, and the API. Nothing acknowledged is lost; whatever came twice is marked in its timeline.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { FileLine } from '@maildoot/testkit/smtp';
import pg from 'pg';
import { startInternet, verifiedDomain } from '../internet.ts';
import { inherited, type Platform, startPlatform } from '../platform.ts';

const KILLS = Number(process.env.KILLS ?? 10);
const ACKNOWLEDGED = Number(process.env.ACKNOWLEDGED ?? 300 * KILLS);
const SENDERS = 16;

const RECEIVER = fileURLToPath(new URL('../../libs/testkit/src/smtp-main.ts', import.meta.url));

test(`nothing acknowledged is lost over ${KILLS} kills of everything`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-killed-'));
  const acknowledgedFile = join(directory, 'acknowledged');
  const receivedFile = join(directory, 'received');
  const receiver = await startReceiver(receivedFile);
  const home = join(directory, 'home');
  await using dns = await startInternet();
  const env = {
    DELIVERY: 'smarthost',
    SMARTHOST: receiver.address,
    DNS_SERVERS: dns.address,
    RETRY_SCHEDULE: '1,1,1,2,2,2,5,5,5,10,10,10',
  };
  let platform = await startPlatform({ home, env });
  try {
    await assertDurable(platform);
    await verifiedDomain(platform.call, dns, 'yard.example');
    const load = startLoad(acknowledgedFile, () => platform);
    for (let kill = 1; kill <= KILLS; kill++) {
      const enough = Math.ceil((ACKNOWLEDGED / KILLS) * kill * (0.7 + 0.3 * Math.random()));
      await load.until(enough);
      await platform.kill();
      platform = await startPlatform({ home, env });
    }
    await load.until(ACKNOWLEDGED);
    await load.stop();

    const acknowledged = new Set(readLines(acknowledgedFile));
    await untilAllFinal(platform, acknowledged);
    const received = timesReceived(receivedFile);
    const lost = [...acknowledged].filter((id) => !received.has(id));
    const twice = [...received].filter(([, times]) => times > 1).map(([id]) => id);
    const unmarked = await unmarkedDuplicates(platform, twice);
    t.diagnostic(
      `kills ${KILLS}, acknowledged ${acknowledged.size}, received ${received.size}, lost ${lost.length}, twice ${twice.length}, unmarked ${unmarked.length}`,
    );
    assert.deepEqual(lost, []);
    assert.deepEqual(unmarked, []);
    assert.ok(acknowledged.size >= ACKNOWLEDGED);
  } finally {
    await platform.stop();
    receiver.stop();
    await rm(directory, { recursive: true, force: true });
  }
});

/** The receiving side: a process of its own, so that it outlives the platform, writing one synced line per message it says 250 to. */
async function startReceiver(file: string): Promise<{ address: string; stop(): void }> {
  const child = spawn(process.execPath, [RECEIVER, '--port', '0', '--file', file], {
    env: inherited(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => resolve((JSON.parse(text) as { address: string }).address));
    child.on('error', reject).on('exit', (code) => reject(new Error(`the receiver ended with ${code}`)));
  });
  return { address, stop: () => void child.kill('SIGKILL') };
}

/** Senders that never stop trying: an answer other than 202, or none, is followed by another message, never counted. */
function startLoad(file: string, platform: () => Platform): { until(count: number): Promise<void>; stop(): Promise<void> } {
  const output = openSync(file, 'a');
  let count = 0;
  let number = 0;
  let running = true;
  const waiting: { count: number; done(): void }[] = [];
  const sender = async () => {
    while (running) {
      const subject = `n${number++}`;
      try {
        const message = { from: 'load@yard.example', to: 'accept@sink.example', subject, text: subject };
        const answer = await platform().call<{ id: string }>('POST', '/v1/messages', message);
        if (answer.status !== 202) continue;
        appendFileSync(output, `${answer.body.id}\n`);
        count++;
        for (const one of waiting) if (count >= one.count) one.done();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const senders = Array.from({ length: SENDERS }, sender);
  return {
    until: (wanted) => (count >= wanted ? Promise.resolve() : new Promise((done) => waiting.push({ count: wanted, done }))),
    async stop() {
      running = false;
      await Promise.all(senders);
      closeSync(output);
    },
  };
}

/** The promise rests on these; a platform that runs without them proves nothing. */
async function assertDurable(platform: Platform): Promise<void> {
  const client = new pg.Client(await platform.databaseUrl());
  await client.connect();
  try {
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
      const { rows } = await client.query<Record<string, string>>(`SHOW ${setting}`);
      assert.equal(rows[0]?.[setting], 'on', setting);
    }
  } finally {
    await client.end();
  }
}

async function untilAllFinal(platform: Platform, acknowledged: Set<string>): Promise<void> {
  const open = new Set(acknowledged);
  const deadline = performance.now() + 180_000;
  while (open.size > 0) {
    for (const id of [...open]) {
      const { status, body } = await platform.call<{ status: string }>('GET', `/v1/messages/${id}`);
      assert.equal(status, 200, `${id} was acknowledged and the API does not know it`);
      if (body.status === 'delivered') open.delete(id);
      else break;
    }
    assert.ok(performance.now() < deadline, `${open.size} acknowledged messages are not delivered, the first is ${[...open][0]}`);
    if (open.size > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function unmarkedDuplicates(platform: Platform, ids: string[]): Promise<string[]> {
  const unmarked: string[] = [];
  for (const id of ids) {
    const { body } = await platform.call('GET', `/v1/messages/${id}/timeline`);
    if (!JSON.stringify(body).includes('"possible_duplicate":true')) unmarked.push(id);
  }
  return unmarked;
}

/** How often the receiver wrote each message down. Its Message-ID is the id that the 202 gave. */
function timesReceived(file: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const line of readLines(file)) {
    const id = /msg_[0-9a-z]{26}/.exec((JSON.parse(line) as FileLine).messageId)?.[0] ?? '';
    times.set(id, (times.get(id) ?? 0) + 1);
  }
  return times;
}

function readLines(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n').filter(Boolean);
}
