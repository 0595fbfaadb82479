// `maildoot listen`, run as a developer does: against an API that streams events, forwarding to an address that verifies signatures.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@maildoot/testkit/wait';
import { newSecret, webhookHeaders } from '@maildoot/webhooks/signature';

const command = fileURLToPath(new URL('../src/maildoot.ts', import.meta.url));

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const event = (seq: number, type: string) => ({ id: `evt_${seq}`, seq, type, data: { n: seq } });

it('forwards what is chosen, signed, and takes a lost stream up where it was', async () => {
  const got: { headers: IncomingMessage['headers']; body: string }[] = [];
  await using target = await serve(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.writeHead(got.length === 1 ? 500 : 204).end();
  });
  const asked: string[] = [];
  await using api = await serve((request, response) => {
    assert.equal(request.headers.authorization, 'Bearer mdsk_k');
    if (request.headers.accept !== 'text/event-stream') return response.end(JSON.stringify({ data: [], next_cursor: null }));
    asked.push(String(request.headers['last-event-id']));
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const send = (one: ReturnType<typeof event>) => response.write(`id: ${one.seq}\nevent: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`);
    if (asked.length === 1) {
      response.write('retry: 1000\n\n: nothing new\n\n');
      send(event(11, 'message.delivered'));
      send(event(12, 'domain.verified'));
      return response.end();
    }
    return send(event(13, 'message.bounced'));
  });

  const secret = newSecret();
  const child = spawn(
    process.execPath,
    [command, 'listen', '--forward-to', target.url, '--api', api.url, '--key', 'mdsk_k', '--events', 'message.*', '--secret', secret],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  try {
    await waitFor(() => got.length === 2, { what: 'two events' });
    assert.deepEqual(
      got.map(({ body }) => (JSON.parse(body) as { seq: number }).seq),
      [11, 13],
    );
    for (const { headers, body } of got) {
      const timestamp = new Date(Number(headers['webhook-timestamp']) * 1000);
      const expected = webhookHeaders({ id: String(headers['webhook-id']), timestamp, body: Buffer.from(body) }, [secret]);
      assert.equal(headers['webhook-signature'], expected['webhook-signature']);
    }
    assert.equal(asked[1], '12', 'behind the last one that came, chosen or not');
    await waitFor(() => lines.some((line) => line.startsWith('message.bounced evt_13 → 204')), { what: 'what was answered, in a line' });
    assert.ok(lines.some((line) => line.startsWith('message.delivered evt_11 → 500')));
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
  assert.equal(child.exitCode, 0);
});

it('says what is wrong: a key that is worth nothing, an event that isn’t one, a platform that isn’t there', async () => {
  await using api = await serve((_, response) =>
    response.writeHead(401).end(JSON.stringify({ error: { message: 'The API key is unknown.' } })),
  );
  for (const [args, message] of [
    [['--events', ''], 'The API key is unknown.'],
    [['--events', 'mesage.*'], 'there is no event mesage.*'],
    [['--secret', 'whsec_x'], 'the secret is none'],
    [['--api', 'http://127.0.0.1:9'], 'http://127.0.0.1:9 can’t be asked for events'],
    [['--api', 'nonsense'], 'nonsense can’t be asked for events'],
  ] as const) {
    const child = spawn(
      process.execPath,
      [command, 'listen', '--forward-to', 'http://127.0.0.1:9/', '--api', api.url, '--key', 'k', ...args],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(text, new RegExp(`^maildoot: ${message.replaceAll('*', '\\*')}`));
  }
});
