// Capture: everything a real delivery has, into the built-in inbox.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { newId } from '@maildoot/runtime/ids';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

describe('capture', () => {
  let house: House;
  let delivery: RunningDelivery;

  before(async () => {
    house = await openHouse();
    delivery = await house.startDelivery({ DELIVERY: 'capture' });
  });
  after(async () => {
    await delivery?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  it('puts mail into the inbox over encrypted SMTP, verified, with its links and codes', async () => {
    house.makeKey('shop.test');
    const text = 'Your code is 482913.\r\nConfirm: https://shop.test/confirm?t=12345678&a=b or call 030-1234.';
    const id = await house.accept({ to: ['ann@anywhere.test'], subject: 'Confirm your address', text, signingDomain: 'shop.test' });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(event.session?.host, 'inbox.localhost');
    assert.equal(event.session?.tlsVersion, 'TLSv1.3');
    assert.equal(event.session?.replyCode, 250);
    const { mails, hasMore } = await list({ messageId: id });
    assert.equal(mails.length, 1);
    assert.equal(hasMore, false);
    const [mail] = mails;
    assert.ok(mail);
    assert.match(mail.id, /^cap_/);
    assert.equal(mail.messageId, id);
    assert.equal(mail.mailFrom, 'sender@shop.test');
    assert.deepEqual(mail.rcptTo, ['ann@anywhere.test']);
    assert.equal(mail.from, 'sender@shop.test');
    assert.equal(mail.subject, 'Confirm your address');
    assert.equal(mail.dkim, 'pass');
    assert.equal(mail.dkimDomain, 'shop.test');
    assert.equal(mail.tlsVersion, 'TLSv1.3');
    assert.match(mail.text, /^Your code is 482913\./);
    assert.deepEqual(mail.links, ['https://shop.test/confirm?t=12345678&a=b']);
    assert.deepEqual(mail.codes, ['482913']);
    const whole = await delivery.asGateway.getCapturedMail({ id: mail.id }, { tenantId: house.tenantId });
    assert.deepEqual(whole.mail, mail);
    assert.equal(whole.raw.length, Number(mail.sizeBytes));
    assert.ok(whole.raw.includes('DKIM-Signature:'));
    assert.ok(whole.raw.toString().endsWith(house.contents.get(id)?.toString() ?? '-'));
  });

  it('takes and shows addresses beyond ASCII', async () => {
    house.makeKey('international.test');
    const id = await house.accept({ to: ['jörg@xn--bcher-kva.test'], signingDomain: 'international.test' });
    await house.waitForOutcomes(id, 1);
    const { mails } = await list({ to: 'JöRG@xn--bcher-kva.test' });
    assert.deepEqual(
      mails.map(({ messageId, rcptTo, to, dkim }) => [messageId, rcptTo, to, dkim]),
      [[id, ['jörg@xn--bcher-kva.test'], 'jörg@xn--bcher-kva.test', 'pass']],
    );
  });

  it('says that unsigned mail is unsigned', async () => {
    const id = await house.accept({ to: ['bob@anywhere.test'] });
    await house.waitForOutcomes(id, 1);
    const { mails } = await list({ messageId: id });
    assert.equal(mails[0]?.dkim, 'none');
  });

  it('filters by recipient and subject and pages newest first', async () => {
    for (let index = 0; index < 3; index++) {
      const id = await house.accept({ to: [`page${index}@pages.test`, 'all@pages.test'], subject: `50% off_${index}` });
      await house.waitForOutcomes(id, 2);
    }
    const first = await list({ to: 'all@pages.test', limit: 2 });
    assert.deepEqual(
      first.mails.map((mail) => mail.subject),
      ['50% off_2', '50% off_1'],
    );
    assert.equal(first.hasMore, true);
    const second = await list({ to: 'all@pages.test', limit: 2, afterId: first.mails[1]?.id ?? '' });
    assert.deepEqual(
      second.mails.map((mail) => mail.subject),
      ['50% off_0'],
    );
    assert.equal(second.hasMore, false);
    assert.deepEqual(
      (await list({ to: 'page1@pages.test' })).mails.map((mail) => mail.subject),
      ['50% off_1'],
    );
    assert.deepEqual(
      (await list({ subject: '50% OFF_1' })).mails.map((mail) => mail.subject),
      ['50% off_1'],
    );
    assert.deepEqual((await list({ subject: '5_% off' })).mails, []);
    assert.equal((await list({ to: 'Page1@Pages.test' })).mails.length, 1, 'in whatever case');
  });

  it('waits for the first match', async () => {
    const waiting = list({ to: 'late@waits.test', waitMs: 30_000 });
    const none = await list({ to: 'late@waits.test', waitMs: 50 });
    assert.deepEqual(none.mails, []);
    const startedAt = performance.now();
    await house.accept({ to: ['late@waits.test'] });
    assert.equal((await waiting).mails.length, 1);
    assert.ok(performance.now() - startedAt < 20_000);
  });

  it('ends the waits of others when it stops', async () => {
    const stopped = await house.startDelivery({ DELIVERY: 'capture' });
    const waiting = stopped.asGateway.listCapturedMail(request({ to: 'never@waits.test', waitMs: 30_000 }), { tenantId: house.tenantId });
    // The call is there: one that came after it has its answer.
    await stopped.asGateway.listCapturedMail(request({}), { tenantId: house.tenantId });
    const startedAt = performance.now();
    const stop = stopped[Symbol.asyncDispose]();
    assert.deepEqual((await waiting.catch((error: unknown) => error)) as unknown, { mails: [], hasMore: false });
    await stop;
    assert.ok(performance.now() - startedAt < 20_000, `${performance.now() - startedAt} ms`);
  });

  it('shows a tenant its own mail only, and answers for another’s like for none', async () => {
    const other = newId('ten');
    const id = await house.accept({ to: ['secret@tenants.test'], tenantId: other });
    await house.waitForOutcomes(id, 1);
    assert.deepEqual((await list({ to: 'secret@tenants.test' })).mails, []);
    const theirs = await delivery.asGateway.listCapturedMail(request({ messageId: id }), { tenantId: other });
    assert.equal(theirs.mails.length, 1);
    const get = async (mailId: string) =>
      await delivery.asGateway.getCapturedMail({ id: mailId }, { tenantId: house.tenantId }).then(
        () => 'found',
        (error: { code: string; message: string }) => `${error.code} ${error.message}`,
      );
    assert.equal(await get(theirs.mails[0]?.id ?? ''), await get(newId('cap')));
    assert.match(await get('nonsense'), /^NOT_FOUND/);
  });

  it('says 250 only for what is committed', async () => {
    await house.database.pool.query('ALTER TABLE captured_mail RENAME TO captured_mail_away');
    const id = await house.accept({ to: ['lost@anywhere.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    await house.database.pool.query('ALTER TABLE captured_mail_away RENAME TO captured_mail');
    assert.equal(event?.outcome, Outcome.OUTCOME_DEFERRED);
    assert.equal(event.session?.replyCode, 451);
  });

  it('is for the gateway, and cancelling is for messaging', async () => {
    await assert.rejects(delivery.rpc.listCapturedMail(request({}), { tenantId: house.tenantId }), { code: 'CALLER_NOT_ALLOWED' });
    await assert.rejects(
      delivery.asGateway.cancelRecipients({ messageId: newId('msg'), recipientNumbers: [0] }, { tenantId: house.tenantId }),
      {
        code: 'CALLER_NOT_ALLOWED',
      },
    );
  });

  it('captures what is marked so whatever the mode, and waiting mail follows a change of the mode', async () => {
    await delivery[Symbol.asyncDispose]();
    await using receiver = await startSmtpReceiver();
    mxZone(house.dns, 'real.test', [['mx1', '127.0.0.1']]);
    const captured = await house.accept({ to: ['accept+captured@real.test'], captured: true });
    {
      await using direct = await house.startDelivery({ DELIVERY: 'direct', MX_PORT: String(receiver.port) });
      const sent = await house.accept({ to: ['accept+sent@real.test'] });
      await house.waitForOutcomes(sent, 1);
      await house.waitForOutcomes(captured, 1);
      const answer = await direct.asGateway.listCapturedMail(request({ messageId: captured }), { tenantId: house.tenantId });
      assert.equal(answer.mails.length, 1);
      assert.equal(receiver.mailFor('accept+captured@real.test').length, 0);
      assert.equal(receiver.mailFor('accept+sent@real.test').length, 1);
      receiver.setBehaviour(({ stage }) => (stage === 'rcpt' ? { kind: 'reply', code: 451, text: 'later' } : undefined));
    }
    const later = new Date(Date.now() + 3_600_000);
    const scheduled = await (async () => {
      await using smart = await house.startDelivery({ DELIVERY: 'smarthost', SMARTHOST: receiver.address });
      assert.ok(smart);
      const id = await house.accept({ to: ['accept+moved@real.test'], sendAt: later });
      const through = await house.accept({ to: ['accept+through@elsewhere.test'] });
      await house.waitForOutcomes(through, 1);
      assert.deepEqual(house.outcomes(through), ['deferred']);
      return id;
    })();
    delivery = await house.startDelivery({ DELIVERY: 'capture' });
    await delivery.schedule.rescheduleRecipients(
      { messageId: scheduled, recipientNumbers: [0], sendAt: new Date() },
      { tenantId: house.tenantId },
    );
    await house.waitForOutcomes(scheduled, 1);
    assert.equal((await list({ messageId: scheduled })).mails.length, 1);
  });

  function request(more: Partial<Parameters<RunningDelivery['asGateway']['listCapturedMail']>[0]>) {
    return { limit: 20, afterId: '', to: '', subject: '', waitMs: 0, messageId: '', ...more };
  }

  async function list(more: Parameters<typeof request>[0]) {
    return await delivery.asGateway.listCapturedMail(request(more), { tenantId: house.tenantId });
  }
});
