// What the simulator sends back for a message that it took: a bounce (RFC 3464), a complaint (RFC 5965), the answer of somebody on holiday
// (RFC 3834). Real messages in the forms in which the world sends them.

export interface Taken {
  /** Where it goes: the MAIL FROM of what was taken. */
  returnPath: string;
  recipient: string;
  /** The host that reports. */
  host: string;
  /** The header of what was taken, as it came. */
  header: string;
  at: Date;
}

export type SimulatedReport = 'bounce-later' | 'complaint' | 'ooto';

/** The bytes, and the MAIL FROM to send them with. */
export function simulatedReport(kind: SimulatedReport, taken: Taken): { mailFrom: string; content: string } {
  switch (kind) {
    case 'bounce-later':
      return { mailFrom: '', content: deliveryReport(taken) };
    case 'complaint':
      return { mailFrom: `feedback@${taken.host}`, content: feedbackReport(taken) };
    case 'ooto':
      return { mailFrom: '', content: holidayAnswer(taken) };
  }
}

const boundary = 'simulated-report';

function deliveryReport({ returnPath, recipient, host, header, at }: Taken): string {
  return lines(
    `From: Mail Delivery System <MAILER-DAEMON@${host}>`,
    `To: ${returnPath}`,
    'Subject: Undelivered Mail Returned to Sender',
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'The message was taken, and could not be put into the mailbox.',
    '',
    `<${recipient}>: the mailbox was removed meanwhile`,
    '',
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; ${host}`,
    `Arrival-Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    'Action: failed',
    'Status: 5.1.1',
    'Diagnostic-Code: smtp; 550 5.1.1 the mailbox was removed meanwhile',
    '',
    `--${boundary}`,
    'Content-Type: text/rfc822-headers',
    '',
    header,
    '',
    `--${boundary}--`,
  );
}

function feedbackReport({ returnPath, recipient, host, header, at }: Taken): string {
  return lines(
    `From: feedback@${host}`,
    `To: ${returnPath}`,
    'Subject: Complaint about a message',
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=feedback-report; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'A recipient called this message spam.',
    '',
    `--${boundary}`,
    'Content-Type: message/feedback-report',
    '',
    'Feedback-Type: abuse',
    'User-Agent: MaildootSimulator/1.0',
    'Version: 1',
    `Original-Mail-From: <${returnPath}>`,
    `Original-Rcpt-To: <${recipient}>`,
    '',
    `--${boundary}`,
    'Content-Type: text/rfc822-headers',
    '',
    `Return-Path: <${returnPath}>\r\n${header}`,
    '',
    `--${boundary}--`,
  );
}

function holidayAnswer({ returnPath, recipient, at }: Taken): string {
  return lines(
    `From: ${recipient}`,
    `To: ${returnPath}`,
    'Subject: Out of the office',
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    'Auto-Submitted: auto-replied (vacation)',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'I am away until Monday. 550 5.1.1 is no answer.',
  );
}

function lines(...all: string[]): string {
  return `${all.join('\r\n')}\r\n`;
}
