// What servers send back, in the forms in which they do: the standard's, the almost standard ones, and words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import { type DeliveryReport, readDeliveryReport } from './delivery-report.ts';
import { parseMime } from './mime-parts.ts';

const read = (text: string, eol = '\r\n') => readDeliveryReport(parseMime(Buffer.from(text.replace(/\n/g, eol), 'latin1')));

function report(status: string, around: { type?: string; words?: string; returned?: string; subject?: string } = {}): string {
  return `Return-Path: <>
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
Subject: ${around.subject ?? 'Undelivered Mail Returned to Sender'}
To: b+token@bounces.example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: ${around.type ?? 'multipart/report; report-type=delivery-status'};
	boundary="8A1B.17/mx.example.net"

This is a MIME-encapsulated message.

--8A1B.17/mx.example.net
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

${around.words ?? 'This is the mail system at host mx.example.net.\n\n<ann@example.net>: user unknown'}

--8A1B.17/mx.example.net
Content-Description: Delivery report
Content-Type: message/delivery-status

${status}

--8A1B.17/mx.example.net
Content-Description: Undelivered Message
Content-Type: message/rfc822

${around.returned ?? 'Subject: Hello\n\n550 5.7.1 words of ours, not of theirs'}

--8A1B.17/mx.example.net--
`;
}

const postfix = `Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: 8A1B17
Arrival-Date: Sat, 21 Nov 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; ann@example.net
Original-Recipient: rfc822;Ann@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.net>: Recipient address
    rejected: User unknown in virtual mailbox table`;

test('by the standard', () => {
  const expected: DeliveryReport = {
    action: 'failed',
    status: '5.1.1',
    diagnostic: 'smtp; 550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table',
    reportingMta: 'mx.example.net',
    recipient: 'Ann@example.net',
    standard: true,
  };
  assert.deepEqual(read(report(postfix)), expected);
  assert.deepEqual(read(report(postfix), '\n'), expected, 'with lines that end in LF');
  assert.deepEqual(read(report(postfix, { type: 'multipart/mixed' })), expected, 'in a multipart of another kind');
});

for (const [form, recipient] of [
  ['raw', 'utf-8; jörg@example.net'],
  ['escaped, where the report is ASCII', 'utf-8; j\\x{F6}rg@example.net'],
  ['as an older server writes it', 'rfc822; jörg@example.net'],
])
  test(`an address beyond ASCII, ${form} (RFC 6533)`, () => {
    const status = Buffer.from(
      postfix
        .replace('rfc822;Ann@example.net', recipient ?? '')
        .replace('5.1.1 <ann@example.net>: Recipient address', '5.1.1 <jörg@example.net>: Recipient address'),
    ).toString('latin1');
    const text = report(status).replace('message/delivery-status', 'message/global-delivery-status');
    const found = read(text.replace('message/rfc822', 'message/global'));
    assert.deepEqual([found?.recipient, found?.action, found?.status, found?.standard], ['jörg@example.net', 'failed', '5.1.1', true]);
    assert.match(found?.diagnostic ?? '', /<jörg@example\.net>/);
  });

for (const [situation, status, expected] of [
  ['delayed: it is still tried', postfix.replace('failed', 'delayed').replace('5.1.1', '4.4.1'), { action: 'delayed', status: '4.4.1' }],
  [
    'delivered, as was asked for',
    postfix.replace('failed', 'delivered').replace('Status: 5.1.1', 'Status: 2.0.0'),
    { action: 'delivered', status: '2.0.0' },
  ],
  ['an action with a comment', postfix.replace('failed', 'Failed (permanently)'), { action: 'failed' }],
  [
    'no empty line between message and recipient',
    postfix.replace('+0000 (UTC)\n\n', '+0000 (UTC)\n'),
    { action: 'failed', status: '5.1.1' },
  ],
  ['empty lines before it', `\n\n${postfix}`, { action: 'failed', status: '5.1.1' }],
  ['no action: the status says it', postfix.replace('Action: failed\n', ''), { action: 'failed', status: '5.1.1' }],
  [
    'no action, for now',
    postfix.replace('Action: failed\n', '').replace('Status: 5.1.1', 'Status: 4.2.2'),
    { action: 'delayed', status: '4.2.2' },
  ],
  ['5.0.0 in the field and more in the words, as Exchange does', postfix.replace('Status: 5.1.1', 'Status: 5.0.0'), { status: '5.1.1' }],
  [
    'a status with words behind it',
    postfix.replace('Status: 5.1.1', 'Status: 5.1.1 (bad destination mailbox address)'),
    { status: '5.1.1' },
  ],
  [
    'several recipients behind the one we know: the one that failed',
    `${postfix.replace('failed', 'relayed').replace('Status: 5.1.1', 'Status: 2.1.9')}\n\n${postfix.slice(postfix.indexOf('Final'))}`,
    { action: 'failed', status: '5.1.1' },
  ],
] as [string, string, Partial<DeliveryReport>][]) {
  test(situation, () => {
    const found = read(report(status));
    for (const [name, value] of Object.entries(expected)) assert.equal(found?.[name as keyof DeliveryReport], value);
    assert.equal(found?.standard, true);
  });
}

test('no diagnostic: the words of the part for people, not those of the message that is returned', () => {
  const status = postfix.slice(0, postfix.indexOf('\nDiagnostic-Code'));
  assert.equal(
    read(report(status, { words: 'The server said:\n550 5.1.1 no such user here\nSorry.' }))?.diagnostic,
    '550 5.1.1 no such user here',
  );
  assert.equal(read(report(status, { words: 'Sorry.' }))?.diagnostic, '');
});

test('in base64, and cut off in the middle of the returned message', () => {
  const encoded = report('@')
    .replace('Content-Type: message/delivery-status\n', 'Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n')
    .replace('@\n', `${Buffer.from(postfix).toString('base64')}\n`);
  assert.equal(read(encoded)?.status, '5.1.1');
  const whole = report(postfix, { returned: `Subject: x\n\n${'y'.repeat(5000)}` });
  assert.equal(read(whole.slice(0, -3000))?.status, '5.1.1');
  assert.equal(read(whole.slice(0, whole.indexOf('Diagnostic-Code')))?.status, '5.1.1', 'cut off in the report itself');
});

for (const [who, text, expected] of [
  [
    'qmail',
    `From: MAILER-DAEMON@qmail.example
Subject: failure notice

Hi. This is the qmail-send program at qmail.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@qmail.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <b+token@bounces.example.com>
Subject: 450 4.0.0 of ours
`,
    { action: 'failed', status: '5.1.1', recipient: 'ann@qmail.example', standard: false },
  ],
  [
    'Exim',
    `X-Failed-Recipients: ann@exim.example
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@exim.example>
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@exim.example
    host mx.exim.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ann@exim.example>:
    552 5.2.2 mailbox is full
`,
    { action: 'failed', status: '5.2.2', recipient: 'ann@exim.example', diagnostic: 'smtp; 552 5.2.2 mailbox is full' },
  ],
  [
    'a server that quotes the basic code alone',
    'From: postmaster@old.example\nSubject: Undeliverable: Hello\n\nYour message did not reach some or all of the intended recipients.\n\n<ann@old.example>: 550 User unknown\n',
    { action: 'failed', status: '5.0.0', diagnostic: 'smtp; 550 User unknown' },
  ],
  [
    'a warning that it is still tried',
    'From: Mail Delivery Subsystem <MAILER-DAEMON@slow.example>\nSubject: Warning: message 1 delayed 4 hours\n\n    *** THIS IS A WARNING MESSAGE ONLY - YOU DO NOT NEED TO RESEND YOUR MESSAGE ***\n\nThe delivery is delayed. 451 4.4.1 no answer from host\n',
    { action: 'delayed', status: '4.4.1' },
  ],
  [
    'words in HTML',
    'From: postmaster@html.example\nSubject: Undeliverable: Hello\nContent-Type: text/html\n\n<p>Delivery has failed. <b>ann@html.example</b> does not exist</p><p>#550 5.1.10 RESOLVER.ADR.RecipientNotFound ##</p>\n',
    { action: 'failed', status: '5.1.10' },
  ],
] as [string, string, Partial<DeliveryReport>][]) {
  test(`${who}, in its own words`, () => {
    const found = read(text);
    for (const [name, value] of Object.entries(expected)) assert.equal(found?.[name as keyof DeliveryReport], value, name);
  });
}

for (const [what, text] of [
  [
    'a person on holiday',
    'From: Ann <ann@example.net>\nAuto-Submitted: auto-replied\nSubject: Out of office\n\nI am away. For urgent matters call 550 5.1.1.\n',
  ],
  [
    'a holiday program that calls itself a postmaster',
    'From: postmaster@example.net\nAuto-Submitted: auto-replied (vacation)\nSubject: Undeliverable for now\n\nAway until Monday; 550 5.1.1\n',
  ],
  ['an old holiday program', 'From: ann@example.net\nX-Autoreply: yes\nSubject: Re: Hello\n\nAway.\n'],
  ['a person who answers', 'From: Ann <ann@example.net>\nSubject: Re: Hello\n\nThe user unknown to me wrote 550 5.1.1.\n'],
  ['a person who asks about a failure', 'From: Ann <ann@example.net>\nSubject: Undeliverable mail?\n\nMy mail could not be delivered.\n'],
  ['nothing', ''],
  ['bytes', '\u0000\u00ff\u00fe--\n--\n'],
] as const) {
  test(`${what}: no report`, () => assert.equal(read(text), undefined));
}

test('whatever comes, it is read in no time and nothing in it reaches a terminal or breaks a database', () => {
  const hostile = [
    `Content-Type: multipart/report; boundary=a\n\n${'--a\n'.repeat(20_000)}`,
    Array.from({ length: 40 }, (_, depth) => `Content-Type: multipart/mixed; boundary=b${depth}\n\n--b${depth}\n`).join(''),
    `From: MAILER-DAEMON\nSubject: failure notice\n\n${'5.1.1 '.repeat(50_000)}`,
    `From: MAILER-DAEMON\nSubject: failure notice\n\n${' '.repeat(200_000)}550`,
    report(`${'X: y\n'.repeat(50_000)}`),
    report('Action: failed\n\n'.repeat(20_000)),
    `Content-Type: multipart/report${'; a="\\"'.repeat(5_000)}\n\nx`,
  ];
  const startedAt = cpuMs();
  for (const text of hostile) read(text);
  assert.ok(cpuMs() - startedAt < 2000, `${cpuMs() - startedAt} ms`);
  const escapes = read(report(postfix.replace('User unknown', 'User \u001b[31m\u0000 unknown')));
  assert.doesNotMatch(JSON.stringify(escapes), /\\u00(?:00|1b)/);
});
