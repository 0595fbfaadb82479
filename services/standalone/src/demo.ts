/**
 * `make demo`: one message from the API call to the receiving side, on a platform of its own that starts and stops around it.
 * A DNS server of the testkit plays the internet, so that the sending domain is verified and the DKIM signature can be checked
 * by the receiver. Exits 0 only when the receiving side has the message and its signature passes.
 */
import { join } from 'node:path';
import { loadSettings } from '@maildoot/runtime/config';
import { startDnsServer } from '@maildoot/testkit/dns';
import { publish } from '@maildoot/testkit/publish';
import { settings } from './config.ts';
import { line, reportAndExit, section } from './print.ts';
import { start } from './service.ts';

const DOMAIN = 'shop.example';
const DELIVERED_WITHIN_MS = 30_000;

interface DnsRecord {
  type: string;
  name: string;
  value: string;
}

interface TimelineEvent {
  type: string;
  at: string;
  attempt?: { session?: { host?: string; remote_address?: string; tls_version?: string; reply?: string; reply_code?: number } };
}

interface Timeline {
  status: string;
  events: TimelineEvent[];
  recipients: { email: string; status: string; events: TimelineEvent[] }[];
}

interface CapturedMail {
  size_bytes: number;
  dkim: string;
  dkim_domain?: string;
  tls_version?: string;
  subject: string;
  rcpt_to: string[];
}

async function demo(): Promise<void> {
  const config = loadSettings(settings, { ...process.env, HTTP_PORT: '0', DELIVERY: 'capture', DNS_SERVERS: '' });
  await using dns = await startDnsServer();
  section('Starting the platform');
  const own = { ...config, home: join(config.home, 'demo'), dnsServers: [dns.address] };
  const parts = { progress: (text: string) => line('·', text) };
  await using platform = process.argv.includes('--cluster')
    ? await (await import('./cluster.ts')).startCluster(own, parts)
    : await start(own, parts);
  const call = client(platform.httpUrl, platform.key);

  section(`Verifying ${DOMAIN}`);
  const domain = await findOrCreateDomain(call);
  publish(dns, DOMAIN, domain.records);
  for (const record of domain.records) line(record.type, `${record.name}  ${shorten(record.value)}`);
  const verified = await call<{ status: string }>('POST', `/v1/user-settings/domains/${DOMAIN}/verify`);
  if (verified.status !== 'verified') throw new Error(`the domain is ${verified.status}, not verified`);
  line('→', 'verified');

  section('Sending');
  const message = {
    from: `no-reply@${DOMAIN}`,
    to: 'user@example.com',
    subject: 'Order Confirmed',
    html: '<p>Your order is confirmed!</p>',
  };
  line('POST', `/v1/messages ${JSON.stringify(message)}`);
  const sentAt = performance.now();
  const sent = await call<{ id: string; status: string; created_at: string }>('POST', '/v1/messages', message);
  line('202', `${JSON.stringify({ id: sent.id, status: sent.status })} in ${(performance.now() - sentAt).toFixed(1)} ms`);

  section('Its way');
  const timeline = await untilDelivered(call, sent.id);
  const start0 = Date.parse(sent.created_at);
  for (const event of [...timeline.events, ...timeline.recipients.flatMap((recipient) => recipient.events)].sort(byTime)) {
    line(`+${Math.max(0, Date.parse(event.at) - start0)} ms`, describe(event));
  }

  section('What the receiving side has');
  const inbox = await call<{ data: CapturedMail[] }>('GET', `/v1/test/inbox?message_id=${sent.id}&wait=10`);
  const [mail] = inbox.data;
  if (!mail) throw new Error('the receiving side has no such message');
  if (mail.dkim !== 'pass') throw new Error(`the receiving side says dkim=${mail.dkim}`);
  line(
    'inbox',
    `“${mail.subject}” for ${mail.rcpt_to.join(', ')}: ${mail.size_bytes} bytes, dkim=${mail.dkim} (${mail.dkim_domain}), ${mail.tls_version || 'no TLS'}`,
  );
}

type Call = <T>(method: string, path: string, body?: unknown) => Promise<T>;

function client(api: string, key: string): Call {
  return async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${answer}`);
    return JSON.parse(answer) as T;
  };
}

/** A second run finds the domain of the first. */
async function findOrCreateDomain(call: Call): Promise<{ records: DnsRecord[] }> {
  const { data } = await call<{ data: { domain: string; records: DnsRecord[] }[] }>('GET', '/v1/user-settings/domains?limit=100');
  return data.find((one) => one.domain === DOMAIN) ?? (await call('POST', '/v1/user-settings/domains', { domain: DOMAIN }));
}

async function untilDelivered(call: Call, id: string): Promise<Timeline> {
  const deadline = performance.now() + DELIVERED_WITHIN_MS;
  for (;;) {
    const timeline = await call<Timeline>('GET', `/v1/messages/${id}/timeline`);
    if (timeline.status === 'delivered') return timeline;
    if (['bounced', 'failed', 'cancelled'].includes(timeline.status)) throw new Error(`the message ended ${timeline.status}`);
    if (performance.now() > deadline)
      throw new Error(`not delivered within ${DELIVERED_WITHIN_MS / 1000} s: it is still ${timeline.status}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function byTime(a: TimelineEvent, b: TimelineEvent): number {
  return Date.parse(a.at) - Date.parse(b.at);
}

function describe(event: TimelineEvent): string {
  const session = event.attempt?.session;
  if (!session?.reply) return event.type;
  return `${event.type}  ${session.host} ${session.remote_address} ${session.tls_version || 'no TLS'}: ${session.reply}`;
}

function shorten(value: string): string {
  return value.length > 60 ? `${value.slice(0, 57)}…` : value;
}

await demo().catch(reportAndExit);
