// Complaints as providers send them, and what is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isComplaint, readFeedbackReport } from './feedback-report.ts';
import { parseMime } from './mime-parts.ts';

const read = (text: string) => readFeedbackReport(parseMime(Buffer.from(text.replace(/\n/g, '\r\n'), 'latin1')));

/** RFC 5965, appendix B.2. */
const fromTheStandard = `From: <abusedesk@example.com>
Date: Thu, 8 Mar 2005 17:40:36 EDT
Subject: FW: Earn money
To: <abuse@example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
     boundary="part1_13d.2e68ed54_boundary"

--part1_13d.2e68ed54_boundary
Content-Type: text/plain; charset="US-ASCII"
Content-Transfer-Encoding: 7bit

This is an email abuse report for an email message received from IP
192.0.2.1 on Thu, 8 Mar 2005 14:00:00 EDT.

--part1_13d.2e68ed54_boundary
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <somespammer@example.net>
Original-Rcpt-To: <user@example.com>
Received-Date: Thu, 8 Mar 2005 14:00:00 EDT
Source-IP: 192.0.2.1
Authentication-Results: mail.example.com
               smtp.mail=somespammer@example.com;
               spf=fail
Reported-Domain: example.net
Reported-Uri: http://example.net/earn_money.html
Removal-Recipient: user@example.com

--part1_13d.2e68ed54_boundary
Content-Type: message/rfc822
Content-Disposition: inline

From: <somespammer@example.net>
Return-Path: <b+token@bounces.example.net>
Received: from mailserver.example.net (mailserver.example.net
     [192.0.2.1]) by example.com with ESMTP id M63d4137594e46;
     Thu, 08 Mar 2005 14:00:00 -0400
To: <Undisclosed Recipients>
Subject: Earn money

Spam Spam Spam
--part1_13d.2e68ed54_boundary--
`;

test('the example of the standard', () => {
  assert.deepEqual(read(fromTheStandard), {
    type: 'abuse',
    userAgent: 'SomeGenerator/1.0',
    returnPaths: ['somespammer@example.net', 'b+token@bounces.example.net'],
  });
});

test('headers alone are returned', () => {
  const report = read(fromTheStandard.replace('message/rfc822', 'text/rfc822-headers'));
  assert.deepEqual(report?.returnPaths.at(-1), 'b+token@bounces.example.net');
});

for (const [type, complaint] of [
  ['abuse', true],
  ['Fraud', true],
  ['abuse (by a button)', true],
  ['opt-out', true],
  ['not-spam', false],
  ['auth-failure', false],
] as const) {
  test(`${type} is ${complaint ? 'a' : 'no'} complaint`, () => {
    const report = read(fromTheStandard.replace('Feedback-Type: abuse', `Feedback-Type: ${type}`));
    assert.equal(report !== undefined && isComplaint(report), complaint);
  });
}

test('what is none', () => {
  assert.equal(read(fromTheStandard.replace('Feedback-Type', 'X-Type')), undefined);
  assert.equal(read(fromTheStandard.replace('message/feedback-report', 'text/plain')), undefined);
  assert.equal(read('Subject: Spam!\n\nFeedback-Type: abuse\n'), undefined);
});
