/** Markers in body, attachment, template, key, password, query and headers, by REST and by SMTP, never come out in logs, spans or events: on the good path and on those that fail. */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startOtlpReceiver } from '@maildoot/testkit/otlp';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { createTransport } from 'nodemailer';
import pg from 'pg';
import { startInternet, verifiedDomain } from '../internet.ts';
import { onCluster, startPlatform } from '../platform.ts';

const MARKER = 'Zq7MarkerXw';

test('no log line, span or event record carries content or a credential', async () => {
  await using otlp = await startOtlpReceiver();
  await using dns = await startInternet();
  await using receiver = await startSmtpReceiver();
  const platform = await startPlatform({
    env: {
      LOG_LEVEL: 'debug',
      OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
      DELIVERY: 'smarthost',
      SMARTHOST: receiver.address,
      DNS_SERVERS: dns.address,
      RETRY_SCHEDULE: '1,1,1',
    },
  });
  try {
    const { call } = platform;
    await verifiedDomain(call, dns, 'shop.example');
    const marked = {
      from: 'a@shop.example',
      subject: MARKER,
      text: MARKER,
      html: `<p>${MARKER}</p>`,
      headers: { 'X-Marked': MARKER },
      tags: [MARKER],
      metadata: { marked: MARKER },
      attachments: [{ filename: `${MARKER}.txt`, content: Buffer.from(MARKER).toString('base64') }],
    };
    const base64 = Buffer.from(MARKER).toString('base64').slice(0, 14);
    const markedKey = `mdsk_${MARKER}${'x'.repeat(40)}`;
    assert.equal((await call('POST', '/v1/user/regenerate_auth_pat')).status, 204);
    const token = (await call<{ auth_pat: { value: string } }>('GET', '/v1/user/settings')).body.auth_pat.value;
    assert.equal((await call('GET', '/v1/user/me', undefined, { authorization: `Bearer ${token}` })).status, 200);
    const sent = await call<{ id: string }>('POST', '/v1/messages', {
      ...marked,
      to: ['accept@example.org', 'bounce@example.org', 'spam@example.org'],
    });
    assert.equal(sent.status, 202);
    for (const [what, answer] of Object.entries({
      'invalid JSON': call('POST', '/v1/messages', `{"subject": "${MARKER}"`),
      'unknown field': call('POST', '/v1/messages', { ...marked, to: 'b@example.org', [MARKER]: MARKER }),
      'bad address': call('POST', '/v1/messages', { ...marked, to: `${MARKER}@@` }),
      'unverified domain': call('POST', '/v1/messages', { ...marked, from: 'a@other.example', to: 'b@example.org' }),
      query: call('GET', `/v1/messages?subject=${MARKER}`),
      'unknown query': call('GET', `/v1/messages?${MARKER}=1`),
      'unknown route': call('GET', `/v1/${MARKER}`),
      'unknown id': call('GET', `/v1/messages/${MARKER}`),
      'unknown key': call('GET', '/v1/messages', undefined, { authorization: `Bearer ${markedKey}` }),
      'idempotency key': call('POST', '/v1/messages', { ...marked, to: 'b@example.org' }, { 'idempotency-key': MARKER }),
      batch: call('POST', '/v1/messages', [
        { ...marked, to: 'c@example.org' },
        { ...marked, to: 'no address' },
      ]),
    })) {
      assert.ok((await answer).status < 500, `${what}: ${(await answer).status}`);
    }
    const template = { name: MARKER, alias: 'marked', subject: MARKER, html: `<p>${MARKER} {{ name }}</p>` };
    assert.equal((await call('POST', '/v1/templates', template)).status, 201);
    for (const [what, status, path, body] of [
      [
        'template',
        202,
        '/v1/messages',
        { from: 'a@shop.example', to: 'd@example.org', template_id: 'marked', variables: { name: MARKER } },
      ],
      [
        'missing variable',
        422,
        '/v1/messages',
        { from: 'a@shop.example', to: 'd@example.org', template_id: 'marked', variables: { [MARKER]: 1 } },
      ],
      ['broken template', 422, '/v1/templates', { ...template, alias: 'broken', html: `{{ ${MARKER} | ` }],
    ] as const)
      assert.equal((await call('POST', path, body)).status, status, what);
    const { smtp } = JSON.parse(await readFile(join(platform.home, 'up.json'), 'utf8')) as { smtp: { starttls: string } };
    const submit = (pass: string) => {
      const [host, port] = smtp.starttls.split(':') as [string, string];
      const tls = { rejectUnauthorized: false };
      const transport = createTransport({ host, port: Number(port), requireTLS: true, auth: { user: 'apikey', pass }, tls });
      const { from, subject, text, html, headers } = marked;
      return transport.sendMail({ from, subject, text, html, headers, to: 'e@example.org' }).finally(() => transport.close());
    };
    assert.match((await submit(platform.key)).response ?? '', /^250 /);
    await assert.rejects(submit(markedKey), { responseCode: 535 });
    const ended = async () => {
      const { body } = await call<{ recipients: { status: string }[] }>('GET', `/v1/messages/${sent.body.id}`);
      return body.recipients.every(({ status }) => ['delivered', 'bounced', 'failed'].includes(status));
    };
    await waitFor(ended, { what: 'every recipient to end' });

    const events = await eventRecords(await platform.databaseUrl());
    await platform.stop();
    const records = onCluster ? await kafkaRecords(platform.home) : '';
    // What is searched is what is there: records of both topics, as they are, and lines of every process.
    assert.ok([events, ...(onCluster ? [records] : [])].every((text) => text.includes('bounce@example.org')));
    if (onCluster) {
      for (const role of ['auth', 'domain-provisioning', 'template', 'messaging', 'delivery', 'gateway']) {
        assert.ok(platform.output().includes(`"service":"${role}"`), `log lines of ${role}`);
      }
    }
    assert.ok(otlp.spans.length > 10, 'spans came out');
    assert.ok(platform.output().includes('"level"'), 'log lines came out');
    for (const [where, text] of Object.entries({
      logs: platform.output().replace(printedForPeople, ''),
      spans: otlp.text,
      events,
      records,
    })) {
      for (const secret of [MARKER, base64, markedKey, platform.key, token]) {
        const at = text.indexOf(secret);
        assert.equal(at, -1, `${where}: …${text.slice(Math.max(0, at - 200), at + 100)}…`);
      }
    }
  } finally {
    await platform[Symbol.asyncDispose]();
  }
});

/** `make up` shows the key to the person who started it; that is no log line. */
const printedForPeople = /^ {2}(inbox|key) .*$|^curl .*$/gm;

async function eventRecords(databaseUrl: string): Promise<string> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    let text = '';
    for (const schema of ['messaging', 'delivery']) {
      const { rows } = await client.query<Record<string, unknown>>(`SELECT * FROM ${schema}.outbox`);
      for (const row of rows) {
        for (const value of Object.values(row)) text += `${Buffer.isBuffer(value) ? value.toString('latin1') : String(value)}\n`;
      }
    }
    return text;
  } finally {
    await client.end();
  }
}

/** The segments of the topics of ours, as Kafka wrote them to the disk. */
async function kafkaRecords(home: string): Promise<string> {
  let text = '';
  for await (const file of glob(join(home, 'cluster-kafka', 'data', '*.v1-*', '*.log'))) text += await readFile(file, 'latin1');
  return text;
}
