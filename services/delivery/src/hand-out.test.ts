import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { together } from './hand-out.ts';
import type { DueRow } from './store/due.ts';

const row = (messageId: string, address: string, destination: string): DueRow =>
  ({ messageId, address, domain: address.split('@')[1] ?? '', destination, incarnation: 'i' }) as DueRow;
const hosts = (domain: string) => (domain.startsWith('same') ? 'mx.operator.test' : domain);

describe('together', () => {
  // rows, groups of addresses, why.
  const cases: [DueRow[], string[][], string][] = [
    [
      [row('1', 'a@x.test', 'op.test'), row('1', 'b@x.test', 'op.test')],
      [['a@x.test', 'b@x.test']],
      'recipients of one domain share a transaction',
    ],
    [
      [row('1', 'a@same1.test', 'op.test'), row('1', 'b@same2.test', 'op.test')],
      [['a@same1.test', 'b@same2.test']],
      'so do domains with the same hosts',
    ],
    [
      [row('1', 'a@x.test', 'op.test'), row('1', 'b@y.test', 'op.test')],
      [['a@x.test'], ['b@y.test']],
      'an operator may have other hosts for another domain',
    ],
    [[row('1', 'a@x.test', 'op.test'), row('2', 'b@x.test', 'op.test')], [['a@x.test'], ['b@x.test']], 'messages are kept apart'],
    [
      [
        row('1', 'a@x.test', 'op.test'),
        row('1', 'jörg@x.test', 'op.test'),
        row('1', 'b@x.test', 'op.test'),
        row('1', 'ö@x.test', 'op.test'),
      ],
      [
        ['a@x.test', 'b@x.test'],
        ['jörg@x.test', 'ö@x.test'],
      ],
      'who can be written to at some of the hosts only goes apart',
    ],
    [
      [
        { ...row('1', 'a@x.test', 'op.test'), personal: true, recipientNumber: 0 },
        { ...row('1', 'b@x.test', 'op.test'), personal: true, recipientNumber: 1 },
      ],
      [['a@x.test'], ['b@x.test']],
      'who gets bytes of its own goes alone',
    ],
    [
      [
        { ...row('1', 'a@x.test', 'op.test'), recipientNumber: 0, mailFrom: 'has' },
        { ...row('1', 'b@x.test', 'op.test'), recipientNumber: 1, mailFrom: 'has' },
      ],
      [['a@x.test'], ['b@x.test']],
      'who has a return path of its own goes alone',
    ],
    [
      [row('1', 'a@x.test', 'smarthost'), row('1', 'b@y.test', 'smarthost')],
      [['a@x.test', 'b@y.test']],
      'the smarthost takes every domain',
    ],
  ];
  for (const [rows, expected, why] of cases) {
    it(why, () =>
      assert.deepEqual(
        together(rows, hosts, ({ personal, mailFrom }) => personal || mailFrom === 'has').map((group) => group.map((one) => one.address)),
        expected,
      ),
    );
  }
});
