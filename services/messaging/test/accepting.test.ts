// Accepting: what is durable when the answer comes, what is refused and how, and that one request never spoils another's.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { MessageStatus, RecipientKind, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newId, uuidAt, uuidToId } from '@maildoot/runtime/ids';
import { createWorld, errorAt, outgoing, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const address = (email: string, name = '') => ({ email, name });

describe('an accepted message', () => {
  it('is all there when the answer comes: message, recipients, content, event', async () => {
    const accepted = await world.acceptOne({
      to: [address('a@rcpt.example', 'A')],
      cc: [address('b@rcpt.example')],
      bcc: [address('c@rcpt.example'), address('a@rcpt.example')],
      replyTo: [address('help@sender.example', 'Help')],
      subject: 'Schöne Grüße',
      html: '<p>Hello <b>you</b></p>',
      text: '',
      tags: ['one', 'two'],
      metadata: { order: '17' },
    });
    assert.equal(accepted.status, MessageStatus.MESSAGE_STATUS_QUEUED);
    assert.deepEqual(accepted.warnings, []);
    assert.equal(accepted.captured, false);

    const { message, events } = await world.get(accepted.id);
    assert.deepEqual(
      message?.recipients.map((recipient) => [recipient.number, recipient.address?.email, recipient.kind, recipient.status]),
      [
        [0, 'a@rcpt.example', RecipientKind.RECIPIENT_KIND_TO, RecipientStatus.RECIPIENT_STATUS_QUEUED],
        [1, 'b@rcpt.example', RecipientKind.RECIPIENT_KIND_CC, RecipientStatus.RECIPIENT_STATUS_QUEUED],
        [2, 'c@rcpt.example', RecipientKind.RECIPIENT_KIND_BCC, RecipientStatus.RECIPIENT_STATUS_QUEUED],
      ],
    );
    assert.deepEqual(message?.from, address('shop@sender.example', 'The Shop'));
    assert.deepEqual(message?.replyTo, [address('help@sender.example', 'Help')]);
    assert.deepEqual([message?.subject, message?.tags, message?.metadata], ['Schöne Grüße', ['one', 'two'], { order: '17' }]);
    assert.deepEqual(message?.createdAt, accepted.createdAt);
    assert.deepEqual(
      events.map((event) => event.type),
      ['message.accepted'],
    );

    const mime = (await world.content(accepted.id)).toString();
    assert.equal(BigInt(mime.length), message?.sizeBytes);
    assert.match(mime, new RegExp(`^Message-ID: <${accepted.id}@sender.example>\r$`, 'm'));
    assert.match(mime, /Hello you/, 'the text part made from the html');
    assert.doesNotMatch(mime, /c@rcpt\.example/, 'Bcc is in no header');

    const [event] = await world.outboxOf(accepted.id);
    assert.equal(event?.tenantId, world.tenantId);
    assert.equal(event?.mailFrom, 'shop@sender.example');
    assert.equal(event?.signingDomain, 'sender.example');
    assert.equal(event?.captured, false);
    assert.deepEqual(event?.recipients, [
      { number: 0, address: 'a@rcpt.example' },
      { number: 1, address: 'b@rcpt.example' },
      { number: 2, address: 'c@rcpt.example' },
    ]);
  });

  it('waits when send_at is ahead, and says so', async () => {
    const sendAt = new Date(Date.now() + 3_600_000);
    const accepted = await world.acceptOne({ sendAt });
    assert.equal(accepted.status, MessageStatus.MESSAGE_STATUS_SCHEDULED);
    assert.deepEqual(accepted.estimatedSendAt, sendAt);
    const { message, events } = await world.get(accepted.id);
    assert.equal(message?.recipients[0]?.status, RecipientStatus.RECIPIENT_STATUS_SCHEDULED);
    assert.deepEqual(
      events.map((event) => event.type),
      ['message.accepted', 'message.scheduled'],
    );
    assert.deepEqual((await world.outboxOf(accepted.id))[0]?.sendAt, sendAt);
  });

  it('is accepted once when the gateway asks again, with the same answer', async () => {
    const id = newId('msg');
    const first = await world.accept({ id });
    const again = await world.accept({ id });
    assert.deepEqual(again, first);
    assert.equal((await world.outboxOf(id)).length, 1);
  });

  it('when half of a batch is known already, the other half is added', async () => {
    const [one, two] = [newId('msg'), newId('msg')];
    await world.acceptOne({ id: one });
    const { results } = await world.accept([{ id: one }, { id: two }]);
    assert.deepEqual(
      results.map(({ result }) => result?.$case === 'accepted' && result.value.id),
      [one, two],
    );
    assert.deepEqual([(await world.outboxOf(one)).length, (await world.outboxOf(two)).length], [1, 1]);
  });

  it('under an id that another tenant has is a conflict, and says nothing of it', async () => {
    const id = newId('msg');
    await world.acceptOne({ id });
    const other = newId('ten');
    world.verified.add(`${other} sender.example`);
    await assert.rejects(world.accept({ id }, {}, other), rpcError('CONFLICT'));
  });
});

describe('a message that is not right', () => {
  const table: { reason: string; message: NonNullable<Parameters<typeof outgoing>[0]>; path: string; code: string }[] = [
    { reason: 'CRLF in the subject', message: { subject: 'Hi\r\nBcc: x@y.example' }, path: 'subject', code: 'control_character' },
    {
      reason: 'LF in the From name',
      message: { from: address('shop@sender.example', 'A\nBcc: x@y.example') },
      path: 'from',
      code: 'control_character',
    },
    { reason: 'CR in a To address', message: { to: [address('a@rcpt.example\r')] }, path: 'to[0]', code: 'control_character' },
    { reason: 'CRLF in a Cc name', message: { cc: [address('a@rcpt.example', 'x\r\ny')] }, path: 'cc[0]', code: 'control_character' },
    {
      reason: 'CRLF in a Reply-To name',
      message: { replyTo: [address('a@rcpt.example', 'x\r\ny')] },
      path: 'reply_to[0]',
      code: 'control_character',
    },
    {
      reason: 'CRLF in a header value',
      message: { headers: [{ name: 'X-A', value: 'b\r\nX-B: c' }] },
      path: 'headers[0]',
      code: 'control_character',
    },
    {
      reason: 'CRLF in a header name',
      message: { headers: [{ name: 'X-A: b\r\nX-B', value: 'c' }] },
      path: 'headers[0]',
      code: 'invalid_header_name',
    },
    {
      reason: 'a structural header',
      message: { headers: [{ name: 'from', value: 'x@y.example' }] },
      path: 'headers[0]',
      code: 'forbidden_header',
    },
    {
      reason: 'a header of ours',
      message: { headers: [{ name: 'DKIM-Signature', value: 'v=1' }] },
      path: 'headers[0]',
      code: 'forbidden_header',
    },
    {
      reason: 'a content header',
      message: { headers: [{ name: 'Content-Type', value: 'text/html' }] },
      path: 'headers[0]',
      code: 'forbidden_header',
    },
    {
      reason: 'CRLF in a file name',
      message: { attachments: [{ filename: 'a\r\nb', content: Buffer.from('x') }] },
      path: 'attachments[0].filename',
      code: 'control_character',
    },
    {
      reason: 'CRLF in a content type',
      message: { attachments: [{ contentType: 'text/plain\r\nX: y', content: Buffer.from('x') }] },
      path: 'attachments[0].content_type',
      code: 'invalid_content_type',
    },
    {
      reason: 'a multipart attachment',
      message: { attachments: [{ contentType: 'multipart/mixed; boundary=x', content: Buffer.from('x') }] },
      path: 'attachments[0].content_type',
      code: 'invalid_content_type',
    },
    {
      reason: 'CRLF in a content id',
      message: { attachments: [{ contentId: 'a\r\nb', content: Buffer.from('x') }] },
      path: 'attachments[0].content_id',
      code: 'invalid_content_id',
    },
    {
      reason: 'a local part that is not in NFC',
      message: { to: [address('jo\u0308rg@rcpt.example')] },
      path: 'to[0]',
      code: 'not_normalised',
    },
    { reason: 'unseen characters', message: { to: [address('jö\u202erg@rcpt.example')] }, path: 'to[0]', code: 'invalid_email' },
    { reason: 'a domain that is not in A-labels', message: { to: [address('a@bücher.example')] }, path: 'to[0]', code: 'not_normalised' },
    { reason: 'no recipient', message: { to: [] }, path: 'to', code: 'required' },
    { reason: 'no content', message: { text: '', html: '' }, path: '', code: 'content_required' },
    { reason: 'NUL in the subject', message: { subject: 'a\0b' }, path: 'subject', code: 'control_character' },
    { reason: 'NUL in metadata', message: { metadata: { a: 'b\0' } }, path: 'metadata["a"]', code: 'invalid_metadata' },
    { reason: 'NUL in a tag', message: { tags: ['\0'] }, path: 'tags[0]', code: 'invalid_tag' },
    { reason: 'an id of another kind', message: { id: newId('evt') }, path: 'id', code: 'invalid_id' },
    {
      reason: 'an id of last year',
      message: { id: uuidToId('msg', uuidAt(new Date(Date.now() - 365 * 86_400_000))) },
      path: 'id',
      code: 'id_not_current',
    },
    {
      reason: 'send_at in two months',
      message: { sendAt: new Date(Date.now() + 60 * 86_400_000) },
      path: 'send_at',
      code: 'too_far_ahead',
    },
  ];
  for (const { reason, message, path, code } of table) {
    it(`${reason} → ${path || 'the message'} ${code}`, async () => {
      const detail = errorAt(await world.accept(message), 0);
      assert.equal(detail.code, 'VALIDATION_ERROR');
      assert.deepEqual(
        detail.issues.map((issue) => [issue.path, issue.code]),
        [[path, code]],
      );
    });
  }

  it('hears all problems at once', async () => {
    const detail = errorAt(await world.accept({ from: address('x@other.example'), to: [address('nobody')], subject: 'a\nb' }), 0);
    assert.deepEqual(
      detail.issues.map((issue) => issue.path),
      ['to[0]', 'subject', 'from'],
    );
  });

  it('over 40 MB when encoded is refused, composed or not', async () => {
    const tooLarge = errorAt(await world.accept({ attachments: [{ filename: 'a.bin', content: Buffer.alloc(30 * 1024 * 1024 + 3) }] }), 0);
    assert.equal(tooLarge.code, 'PAYLOAD_TOO_LARGE');
    // Base64 alone fits, its line breaks do not.
    const justTooLarge = errorAt(
      await world.accept({ attachments: [{ filename: 'a.bin', content: Buffer.alloc(29.8 * 1024 * 1024) }] }),
      0,
    );
    assert.equal(justTooLarge.code, 'PAYLOAD_TOO_LARGE');
  });
});

describe('the sender', () => {
  it('whose domain is not verified is refused, and may send as soon as it is', async () => {
    const from = address('x@later.example');
    const detail = errorAt(await world.accept({ from }), 0);
    assert.equal(detail.code, 'DOMAIN_NOT_VERIFIED');
    assert.deepEqual(
      detail.issues.map((issue) => [issue.path, issue.code]),
      [['from', 'domain_not_verified']],
    );
    world.verified.add(`${world.tenantId} later.example`);
    await world.acceptOne({ from });
  });

  it('outside of the credential’s domains is refused, verified or not', async () => {
    const detail = errorAt(await world.accept({}, { allowedDomains: ['other.example'] }), 0);
    assert.equal(detail.code, 'SENDER_NOT_ALLOWED');
    await world.acceptOne({}, { allowedDomains: ['sender.example'] });
  });

  it('is not asked for again while the answer is fresh', async () => {
    await world.acceptOne();
    const before = world.domainService.questions;
    for (let sent = 0; sent < 5; sent++) await world.acceptOne();
    assert.equal(world.domainService.questions, before);
  });

  it('can’t be checked while domain-provisioning is down: UNAVAILABLE, and nothing is kept', async () => {
    world.domainService.down = true;
    const message = outgoing({ from: address('x@unknown.example') });
    await assert.rejects(world.accept(message), rpcError('UNAVAILABLE'));
    world.domainService.down = false;
    await assert.rejects(world.get(message.id), rpcError('NOT_FOUND'));
  });
});

describe('a batch', () => {
  it('keeps what is right and answers for each in order', async () => {
    const batchId = newId('bat');
    const good = [outgoing(), outgoing()];
    const response = await world.accept([good[0]!, { from: address('x@other.example') }, { to: [] }, good[1]!], { batchId });
    assert.deepEqual(
      response.results.map(({ result }) => result?.$case),
      ['accepted', 'error', 'error', 'accepted'],
    );
    assert.deepEqual([errorAt(response, 1).code, errorAt(response, 2).code], ['DOMAIN_NOT_VERIFIED', 'VALIDATION_ERROR']);
    for (const { id } of good) assert.equal((await world.get(id)).message?.batchId, batchId);
  });

  it('that is atomic is refused whole, with the place of every problem, and nothing is kept', async () => {
    const good = outgoing();
    await assert.rejects(
      world.accept([good, { from: address('x@other.example') }, { to: [], subject: 'a\nb' }], { atomic: true }),
      (error: Error & { code?: string; detail?: { issues: { path: string }[] } }) => {
        assert.equal(error.code, 'DOMAIN_NOT_VERIFIED');
        assert.deepEqual(
          error.detail?.issues.map((issue) => issue.path),
          ['messages[1].from', 'messages[2].to', 'messages[2].subject'],
        );
        return true;
      },
    );
    await assert.rejects(world.get(good.id), rpcError('NOT_FOUND'));
    assert.deepEqual(await world.outboxOf(good.id), []);
  });

  it('with the same id twice keeps the first', async () => {
    const id = newId('msg');
    const response = await world.accept([{ id }, { id }]);
    assert.equal(response.results[0]?.result?.$case, 'accepted');
    assert.deepEqual(
      errorAt(response, 1).issues.map((issue) => [issue.path, issue.code]),
      [['id', 'duplicate']],
    );
  });

  it('of a thousand is one transaction', async () => {
    const messages = Array.from({ length: 1000 }, () => outgoing());
    const { results } = await world.accept(messages);
    assert.ok(results.every(({ result }) => result?.$case === 'accepted'));
    const { rows } = await world.database.pool.query<{ transactions: number }>(
      'SELECT count(DISTINCT xmin::text)::int AS transactions FROM message WHERE id BETWEEN $1 AND $2 AND tenant_id = $3',
      [uuidOf(messages[0]!.id), uuidOf(messages.at(-1)!.id), uuidOf(world.tenantId, 'ten')],
    );
    assert.equal(rows[0]?.transactions, 1);
    await assert.rejects(world.accept(Array.from({ length: 1001 }, () => outgoing())), rpcError('VALIDATION_ERROR'));
  });
});

describe('requests that share a transaction', () => {
  it('do share it, and one that can’t be written fails alone', async () => {
    const taken = newId('msg');
    const other = newId('ten');
    world.verified.add(`${other} sender.example`);
    await world.acceptOne({ id: taken }, {}, other);
    const good = Array.from({ length: 60 }, () => outgoing());
    const answers = await Promise.allSettled([
      ...good.slice(0, 30).map((message) => world.accept(message)),
      world.accept({ id: taken }),
      ...good.slice(30).map((message) => world.accept(message)),
    ]);
    assert.deepEqual(
      answers.flatMap((answer) => (answer.status === 'rejected' ? [(answer.reason as { code: string }).code] : [])),
      ['CONFLICT'],
    );
    for (const { id } of good) assert.equal((await world.outboxOf(id)).length, 1);

    const more = Array.from({ length: 60 }, () => outgoing());
    await Promise.all(more.map((message) => world.accept(message)));
    const { rows } = await world.database.pool.query<{ transactions: number }>(
      'SELECT count(DISTINCT xmin::text)::int AS transactions FROM message WHERE id = ANY($1::uuid[])',
      [more.map(({ id }) => uuidOf(id))],
    );
    assert.ok((rows[0]?.transactions ?? 60) < 30, `${rows[0]?.transactions} transactions for 60 concurrent requests`);
  });
});

function uuidOf(id: string, prefix: 'msg' | 'ten' = 'msg'): string {
  return idToUuid(prefix, id)!;
}
