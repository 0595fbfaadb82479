// How the test receiver answers a recipient, by the local part of its address. The names are those of the simulator domain in the API
// contract, and some for faults that only a test wants. `+label` after the name is allowed and keeps recipients apart.
//
//   accept (and every name not listed)   taken
//   bounce                               550 5.1.1 at RCPT
//   mailbox-full                         452 4.2.2 at RCPT
//   defer, defer-<n>                     451 4.3.0 at RCPT: always, or the first n times
//   greylist                             451 4.7.1 at RCPT the first time
//   blocked                              554 5.7.1 at RCPT
//   spam                                 550 5.7.1 after the final dot
//   slow, slow-<ms>                      every answer from RCPT on comes late (default 1,000 ms)
//   code-<n>, dot-code-<n>               that code at RCPT, or after the final dot; 421 closes
//   close-<stage>, hang-<stage>, malformed-<stage>, stage = rcpt | data | dot
//                                        the connection is closed, nothing is answered ever, or something that is no SMTP reply
//   close-dot-<n>, hang-dot-<n>          the first n times only
// After `close-dot` and `hang-dot` the receiver *has* the message and the sender doesn't know.

/** Where in a session an answer is given. `data` is the answer to DATA itself, `dot` the one after the final dot. */
export type Stage = 'connect' | 'ehlo' | 'starttls' | 'mail' | 'rcpt' | 'data' | 'dot' | 'rset' | 'noop' | 'quit';

/** What the receiver does instead of its ordinary answer. */
export type Action =
  /** The ordinary answer, given explicitly: a callback's way to overrule the local part. */
  | { kind: 'accept'; afterMs?: number }
  /** 421 closes the connection afterwards; others when `thenClose`. Several lines: text with LF. */
  | { kind: 'reply'; code: number; enhancedCode?: string; text?: string; thenClose?: boolean; afterMs?: number }
  /** Bytes as they are, CRLF included. */
  | { kind: 'raw'; text: string; afterMs?: number }
  | { kind: 'close'; afterMs?: number }
  /** No answer, the connection stays. */
  | { kind: 'hang' };

const malformedReply = 'what?\r\n';
const defaultSlowMs = 1000;

/** The action of a recipient at a stage; undefined = the ordinary answer. `time` counts from 1 how often this recipient was at this stage. */
export function actionByRecipient(address: string, stage: 'rcpt' | 'data' | 'dot', time: number): Action | undefined {
  const local = address.slice(0, Math.max(0, address.lastIndexOf('@'))).toLowerCase();
  const name = local.split('+', 1)[0] ?? '';
  const atRcpt = stage === 'rcpt';
  switch (name) {
    case 'bounce':
      return atRcpt ? { kind: 'reply', code: 550, enhancedCode: '5.1.1', text: 'user unknown' } : undefined;
    case 'mailbox-full':
      return atRcpt ? { kind: 'reply', code: 452, enhancedCode: '4.2.2', text: 'mailbox full' } : undefined;
    case 'defer':
      return atRcpt ? { kind: 'reply', code: 451, enhancedCode: '4.3.0', text: 'try again later' } : undefined;
    case 'greylist':
      return atRcpt && time === 1
        ? { kind: 'reply', code: 451, enhancedCode: '4.7.1', text: 'greylisted, try again in a minute' }
        : undefined;
    case 'blocked':
      return atRcpt ? { kind: 'reply', code: 554, enhancedCode: '5.7.1', text: 'blocked: your address is on a list' } : undefined;
    case 'spam':
      return stage === 'dot' ? { kind: 'reply', code: 550, enhancedCode: '5.7.1', text: 'message content rejected as spam' } : undefined;
    case 'slow':
      return { kind: 'accept', afterMs: defaultSlowMs };
  }
  const [, kind = '', argument = ''] = /^(defer|slow|code|dot-code)-([0-9]{1,5})$/.exec(name) ?? [];
  if (kind === 'defer')
    return atRcpt && time <= Number(argument) ? { kind: 'reply', code: 451, enhancedCode: '4.3.0', text: 'try again later' } : undefined;
  if (kind === 'slow') return { kind: 'accept', afterMs: Number(argument) };
  if (kind === 'code') return atRcpt ? withCode(Number(argument)) : undefined;
  if (kind === 'dot-code') return stage === 'dot' ? withCode(Number(argument)) : undefined;
  const [, fault = '', where = '', times] = /^(close|hang|malformed)-(rcpt|data|dot)(?:-([0-9]{1,3}))?$/.exec(name) ?? [];
  if (where !== stage || time > Number(times ?? Number.POSITIVE_INFINITY)) return undefined;
  if (fault === 'malformed') return { kind: 'raw', text: malformedReply };
  return { kind: fault === 'close' ? 'close' : 'hang' };
}

function withCode(code: number): Action | undefined {
  if (code < 200 || code > 599) return undefined;
  const enhancedClass = Math.floor(code / 100);
  const enhanced = enhancedClass === 2 || enhancedClass === 4 || enhancedClass === 5 ? { enhancedCode: `${enhancedClass}.0.0` } : {};
  return { kind: 'reply', code, ...enhanced, text: `as you asked: ${code}` };
}
