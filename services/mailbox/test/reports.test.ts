// From an SMTP session at the MX door to a record that others read: kept before the 250, told once for each report, by the recipient it is about.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventLog } from '@maildoot/events/event-log';
import { reportReceived } from '@maildoot/events/topics';
import { returnPathLocalPart } from '@maildoot/mail/return-path';
import { linkKeys } from '@maildoot/mail/tracking-token';
import { BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';
import { ReportAction, ReportKind, type ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { captureLogs } from '@maildoot/testkit/logs';
import { waitFor } from '@maildoot/testkit/wait';
import { settings } from '../src/config.ts';
import { migrations, schema, start } from '../src/service.ts';
import { bounceMessage, complaintMessage, smtpClient } from './smtp-client.ts';

const rpcSecret = 'a secret of at least 32 characters for tests';
const tables = tablesOf({ [schema]: migrations });
const [key] = linkKeys(undefined, rpcSecret);

async function startMailbox() {
  await using starting = new AsyncDisposableStack();
  const database = starting.use(await createTestDatabase({ template: tables }));
  const logs = captureLogs();
  const logger = createLogger({ service: 'mailbox', level: 'debug', destination: logs.destination });
  const config = loadSettings(settings, {
    DATABASE_URL: database.url,
    DATABASE_CONNECTIONS: '3',
    MIGRATE_AT_START: 'true',
    RPC_SECRET: rpcSecret,
  });
  const service = starting.use(await start(config, { logger }));
  const events: ReportReceivedEvent[] = [];
  const log = starting.use(createEventLog({ url: database.url, kafkaBrokers: undefined, logger, clientId: 'test' }));
  log.subscribe(reportReceived, {
    group: 'test',
    maxBatch: 100,
    async handle(records) {
      for (const { event } of records) events.push(event);
    },
  });
  const parts = starting.move();
  return { ...service, database, logs, events, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('a bounce and a complaint become records, in the vocabulary of attempts', async () => {
  await using mailbox = await startMailbox();
  const messageId = newUuid();
  const paths = [0, 1].map((recipientNumber) => `${returnPathLocalPart(key, { messageId, recipientNumber })}@bounces.shop.example`);
  {
    await using client = await smtpClient(mailbox.mxAddress);
    await client.say('EHLO mx.example.net');
    for (const [path, message] of [
      [paths[0], bounceMessage()],
      [paths[1], complaintMessage('whoever@example.net')],
      [paths[1], bounceMessage('4.4.1', '451 4.4.1 no answer')],
    ]) {
      await client.say('MAIL FROM:<>');
      assert.match(await client.say(`RCPT TO:<${path}>`), /^250/);
      assert.match(await client.data(message ?? ''), /^250/);
    }
  }
  await waitFor(() => mailbox.events.length === 3, { what: 'three records' });
  const [bounce, complaint, delay] = mailbox.events.toSorted((a, b) => (a.receivedAt?.getTime() ?? 0) - (b.receivedAt?.getTime() ?? 0));
  assert.deepEqual(
    [bounce?.messageId, bounce?.recipientNumber, bounce?.kind, bounce?.action],
    [uuidToId('msg', messageId), 0, ReportKind.REPORT_KIND_DELIVERY, ReportAction.REPORT_ACTION_FAILED],
  );
  assert.deepEqual(bounce?.bounce, {
    type: BounceType.BOUNCE_TYPE_PERMANENT,
    class: BounceClass.BOUNCE_CLASS_RECIPIENT,
    diagnostic: 'smtp; 550 5.1.1 <ann@example.net>: User unknown',
  });
  assert.deepEqual([complaint?.kind, complaint?.recipientNumber, complaint?.feedbackType], [ReportKind.REPORT_KIND_FEEDBACK, 1, 'abuse']);
  assert.deepEqual([delay?.action, delay?.bounce], [ReportAction.REPORT_ACTION_DELAYED, undefined]);
  // Whose address it is stands in the record, where its documentation says so, and nowhere else.
  assert.doesNotMatch(mailbox.logs.text, /ann@example\.net/);
  assert.match(mailbox.logs.text, new RegExp(uuidToId('msg', messageId)));
});

test('a bad value of every setting is refused by name', () => {
  const good = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', RPC_SECRET: 'x'.repeat(32) };
  assert.ok(loadSettings(settings, good));
  for (const setting of Object.values(settings)) {
    for (const bad of setting.badExamples) {
      assert.throws(
        () => loadSettings(settings, { ...good, [setting.name]: bad }),
        (error) => error instanceof SettingsError && error.problems.some((problem) => problem.name === setting.name),
        `${setting.name}=${bad}`,
      );
    }
  }
});
