// A receiver of webhooks in a process of its own, as somebody would write it with the official library of Standard Webhooks. What a path
// does is told over HTTP; what came is asked over HTTP. Run: node webhook-receiver.ts
// With a certificate it takes webhooks by https too, on another port.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** One request that came. */
export interface Seen {
  id: string;
  timestamp: number;
  /** Signatures in the header. */
  signatures: number;
  /** By the library, for each of the path's secrets. */
  verified: boolean[];
  type: string;
  body: string;
  atMs: number;
}

/** What a path does. */
export interface Behaviour {
  status?: number;
  headers?: Record<string, string>;
  /** Never answers. */
  hang?: boolean;
  delayMs?: number;
  /** Secrets to verify with. */
  secrets?: string[];
  /** The signature is verified as of the time that it names: the test's clock is elsewhere. */
  otherTime?: boolean;
}

export interface Receiver extends AsyncDisposable {
  url(path: string): string;
  /** With a certificate only. */
  httpsUrl(path: string): string;
  behave(path: string, behaviour: Behaviour): Promise<void>;
  seen(path: string): Promise<Seen[]>;
  readonly port: number;
}

export async function startReceiver({ certificate }: { certificate?: { cert: string; key: string } } = {}): Promise<Receiver> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...(certificate && { RECEIVER_CERTIFICATE: JSON.stringify(certificate) }) },
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const [port = 0, httpsPort] = line.split(' ').map(Number);
  const base = `http://127.0.0.1:${port}`;
  return {
    port,
    url: (path) => `${base}/hook/${path}`,
    httpsUrl: (path) => `https://127.0.0.1:${httpsPort}/hook/${path}`,
    async behave(path, behaviour) {
      await fetch(`${base}/behave/${path}`, { method: 'POST', body: JSON.stringify(behaviour) });
    },
    seen: async (path) => (await (await fetch(`${base}/seen/${path}`)).json()) as Seen[],
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

async function serve(): Promise<void> {
  const { Webhook } = await import('standardwebhooks');
  const behaviours = new Map<string, Behaviour>();
  const came = new Map<string, Seen[]>();

  function verify(secret: string, body: string, headers: Record<string, string>, otherTime: boolean): boolean {
    const real = Date.now;
    if (otherTime) Date.now = () => Number(headers['webhook-timestamp']) * 1000;
    try {
      new Webhook(secret).verify(body, headers);
      return true;
    } catch {
      return false;
    } finally {
      Date.now = real;
    }
  }

  const answer = (response: ServerResponse, value: unknown) => response.end(JSON.stringify(value));
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const [, door = '', path = ''] = /^\/([a-z]+)\/(.*)$/.exec(request.url ?? '') ?? [];
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    if (door === 'behave') {
      behaviours.set(path, JSON.parse(body) as Behaviour);
      return answer(response, {});
    }
    if (door === 'seen') return answer(response, came.get(path) ?? []);
    const behaviour = behaviours.get(path) ?? {};
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const list = came.get(path) ?? [];
    came.set(path, list);
    list.push({
      id: headers['webhook-id'] ?? '',
      timestamp: Number(headers['webhook-timestamp']),
      signatures: (headers['webhook-signature'] ?? '').split(' ').length,
      verified: (behaviour.secrets ?? []).map((secret) => verify(secret, body, headers, behaviour.otherTime === true)),
      type: (JSON.parse(body) as { type: string }).type,
      body,
      atMs: Date.now(),
    });
    if (behaviour.hang) return undefined;
    if (behaviour.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, behaviour.delayMs));
    response.writeHead(behaviour.status ?? 200, behaviour.headers);
    return response.end('thank you');
  };
  const certificate = process.env.RECEIVER_CERTIFICATE;
  const servers = [createServer(handle), ...(certificate ? [createTlsServer(JSON.parse(certificate) as object, handle)] : [])];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  process.stdout.write(`${ports.join(' ')}\n`);
  process.stdin.on('end', () => process.exit(0)).resume();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve();
