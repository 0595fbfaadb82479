// The set-up of tests about mail that waits: a clock that stands still until they move it, one receiver behind one domain, late.test, and
// retries a minute apart.
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

export interface WaitingMail extends AsyncDisposable {
  house: House;
  receiver: SmtpReceiver;
  clock: TestClock;
  /** By the tests' clock. */
  inAnHour(): Date;
  startDelivery(): Promise<RunningDelivery>;
  /** Waits until so many recipients of the message are in the queue. */
  queued(id: string, count: number): Promise<void>;
}

export async function openWaitingMail(): Promise<WaitingMail> {
  await using opening = new AsyncDisposableStack();
  const house = opening.use(await openHouse());
  const receiver = opening.use(await startSmtpReceiver());
  const clock = new TestClock();
  mxZone(house.dns, 'late.test', [['mx', '127.0.0.1']]);
  const owned = opening.move();
  return {
    house,
    receiver,
    clock,
    inAnHour: () => new Date(clock.now().getTime() + 3_600_000),
    startDelivery: () => house.startDelivery({ MX_PORT: String(receiver.port), RETRY_SCHEDULE: '60,60' }, { clock }),
    async queued(id, count) {
      await waitFor(async () => (await house.due(id)).length === count, { what: 'the queue has it' });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
