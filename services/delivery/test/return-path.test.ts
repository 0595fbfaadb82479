// MAIL FROM with a return path: one for each recipient where the From domain has a host for it, and the sender's own address elsewhere.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { readReturnPath } from '@maildoot/mail/return-path';
import { linkKeys } from '@maildoot/mail/tracking-token';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { idToUuid } from '@maildoot/runtime/ids';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { type House, mxZone, openHouse, rpcSecret } from './delivery.ts';

// As the house's.
const keys = linkKeys(undefined, rpcSecret);

describe('return paths', () => {
  let house: House;
  let outside: SmtpReceiver;
  before(async () => {
    house = await openHouse();
    outside = await startSmtpReceiver();
    mxZone(house.dns, 'one.test', [['mx', '127.0.0.1']]);
    for (const domain of ['shop.test', 'plain.test']) house.makeKey(domain);
    house.returnPathHosts.set('shop.test', 'md-bounces.shop.test');
  });
  after(async () => {
    await outside[Symbol.asyncDispose]();
    await house[Symbol.asyncDispose]();
  });
  const direct = () => ({ DELIVERY: 'direct', MX_PORT: String(outside.port) });

  it('of a domain that has a host: each recipient a transaction and an address of its own, which names it', async () => {
    await using _delivery = await house.startDelivery(direct());
    const to = ['ann@one.test', 'bob@one.test', 'bounce@one.test'];
    const id = await house.accept({ from: 'orders@shop.test', to, signingDomain: 'shop.test' });
    const events = await house.waitForOutcomes(id, 3);
    const mails = outside.messages.filter((mail) => mail.mailFrom.endsWith('@md-bounces.shop.test'));
    assert.equal(mails.length, 2);
    for (const mail of mails) {
      assert.equal(mail.recipients.length, 1);
      const number = to.indexOf(mail.recipients[0]?.address ?? '');
      const holder = readReturnPath(keys, mail.mailFrom.slice(0, mail.mailFrom.indexOf('@')));
      assert.deepEqual(holder, { messageId: idToUuid('msg', id), recipientNumber: number });
      assert.match(mail.raw.toString(), /From: .*orders@shop\.test/);
    }
    assert.deepEqual(events.map(({ recipient, outcome }) => `${recipient} ${outcome === Outcome.OUTCOME_DELIVERED}`).sort(), [
      'ann@one.test true',
      'bob@one.test true',
      'bounce@one.test false',
    ]);
  });

  it('of a domain that has none: the From address, and recipients share a transaction', async () => {
    await using _delivery = await house.startDelivery(direct());
    const before = outside.messages.length;
    const id = await house.accept({ from: 'orders@plain.test', to: ['ann@one.test', 'bob@one.test'], signingDomain: 'plain.test' });
    await house.waitForOutcomes(id, 2);
    const mails = outside.messages.slice(before);
    assert.deepEqual(
      mails.map((mail) => [mail.mailFrom, mail.recipients.length]),
      [['orders@plain.test', 2]],
    );
  });

  it('of a domain that has none, where the installation has a host', async () => {
    await using _delivery = await house.startDelivery({ ...direct(), RETURN_PATH_HOST: 'bounces.house.test' });
    const before = outside.messages.length;
    const id = await house.accept({ from: 'orders@plain.test', to: ['ann@one.test'], signingDomain: 'plain.test' });
    await house.waitForOutcomes(id, 1);
    assert.match(outside.messages[before]?.mailFrom ?? '', /^b\+[a-z2-7]{37}@bounces\.house\.test$/);
  });

  it('captured mail has none', async () => {
    await using delivery = await house.startDelivery({ DELIVERY: 'capture', RETURN_PATH_HOST: 'bounces.house.test' });
    const id = await house.accept({ from: 'orders@shop.test', to: ['ann@one.test'], signingDomain: 'shop.test' });
    await house.waitForOutcomes(id, 1);
    const { mails } = await delivery.asGateway.listCapturedMail(
      { limit: 1, afterId: '', to: '', subject: '', waitMs: 5000, messageId: id },
      { tenantId: house.tenantId },
    );
    assert.equal(mails[0]?.mailFrom, 'orders@shop.test');
  });

  it('the simulator acts in every mode, and has return paths even where nobody else has', async () => {
    await using mx = await startSmtpReceiver();
    await using _delivery = await house.startDelivery({ DELIVERY: 'capture', SIMULATOR_REPORTS_TO: `127.0.0.1:${mx.port}` });
    const to = ['accept+1@simulator.localhost', 'bounce@simulator.localhost', 'bounce-later@simulator.localhost', 'ann@one.test'];
    const id = await house.accept({ from: 'orders@plain.test', to, signingDomain: 'plain.test' });
    const events = await house.waitForOutcomes(id, 4);
    assert.deepEqual(events.map(({ recipientNumber, outcome }) => [recipientNumber, outcome]).sort(), [
      [0, Outcome.OUTCOME_DELIVERED],
      [1, Outcome.OUTCOME_BOUNCED],
      [2, Outcome.OUTCOME_DELIVERED],
      [3, Outcome.OUTCOME_DELIVERED],
    ]);
    const report = await waitFor(() => mx.messages[0], { what: 'the report' });
    const address = report.recipients[0]?.address ?? '';
    const holder = readReturnPath(keys, address.slice(0, address.indexOf('@')));
    assert.deepEqual(holder, { messageId: idToUuid('msg', id), recipientNumber: 2 });
  });
});
