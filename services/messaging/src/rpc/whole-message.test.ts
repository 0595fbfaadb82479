import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventRow, MessageRow, MessageStore, RecipientView } from '../store/messages.ts';
import { readWhole } from './whole-message.ts';

test('what an event tells, its recipient shows, also when both are written in the middle of the reading', async () => {
  const event = { recipientNumber: 0 } as EventRow;
  const recipientAt = (written: boolean) => ({ number: 0, status: written ? 2 : 1 }) as unknown as RecipientView;
  // One transaction writes both after so many of the questions were asked.
  for (const writtenAfter of [0, 1, 2, 3]) {
    let asked = 0;
    const written = () => asked++ >= writtenAfter;
    const later = async <T>(answer: () => T): Promise<T> => {
      const now = answer();
      await Promise.resolve();
      return now;
    };
    const messages = {
      find: () => later(() => (written() ? ({ status: 2 } as MessageRow) : ({ status: 1 } as MessageRow))),
      recipientsOf: (_: string, [id]: string[]) => later(() => new Map([[id, [recipientAt(written())]]])),
      eventsOf: () => later(() => (written() ? [event] : [])),
    } as unknown as MessageStore;
    const { message, recipients, events } = await readWhole(messages, 'tenant', 'message');
    if (events.length > 0) assert.deepEqual([message.status, recipients[0]?.status], [2, 2], `written after ${writtenAfter}`);
  }
});
