// A client that says exactly what it is told, for the doors' tests: each command waits for its reply.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Client extends AsyncDisposable {
  greeting: string;
  /** Sends a line and answers the whole reply. */
  say(line: string): Promise<string>;
  /** DATA and the message; answers the reply to the dot. */
  data(message: string): Promise<string>;
}

export async function smtpClient(address: string): Promise<Client> {
  const unix = address.startsWith('unix:');
  const [host = '', port = ''] = address.split(':');
  const socket: Socket = unix ? connect(address.slice('unix:'.length)) : connect(Number(port), host);
  socket.setEncoding('latin1');
  let text = '';
  socket.on('data', (chunk: string) => (text += chunk));
  const reply = async (): Promise<string> => {
    for (;;) {
      const found = /^(?:[0-9]{3}-[^\r\n]*\r\n)*[0-9]{3} [^\r\n]*\r\n/.exec(text);
      if (found !== null) {
        text = text.slice(found[0].length);
        return found[0].trimEnd();
      }
      await once(socket, 'data');
    }
  };
  const say = (line: string) => {
    socket.write(`${line}\r\n`);
    return reply();
  };
  await once(socket, 'connect');
  return {
    greeting: await reply(),
    say,
    async data(message) {
      const go = await say('DATA');
      if (!go.startsWith('354')) return go;
      socket.write(`${message.replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..')}\r\n.\r\n`);
      return reply();
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

/** A bounce as Postfix writes it. */
export function bounceMessage(status = '5.1.1', words = '550 5.1.1 <ann@example.net>: User unknown'): string {
  return `From: MAILER-DAEMON@mx.example.net
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ann@example.net
Action: ${status.startsWith('4') ? 'delayed' : 'failed'}
Status: ${status}
Diagnostic-Code: smtp; ${words}

--b
Content-Type: text/rfc822-headers

Subject: Hello

--b--
`;
}

/** A complaint that names a return path. */
export function complaintMessage(returnPath: string): string {
  return `From: feedback@provider.example
Subject: Complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

Spam.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Provider/1.0
Version: 1
Original-Mail-From: <${returnPath}>

--b
Content-Type: text/rfc822-headers

Subject: Hello

--b--
`;
}
