// What recipients do: their own links in the frozen bytes, flags, events, counts, and the list that unsubscribing puts them on.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { parseHeaderBlock } from '@maildoot/mail/headers';
import { fillMarks, linkKeys, linkMark, readClickToken, tokensFor } from '@maildoot/mail/tracking-token';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { GetStatsRequest, StatsDimension } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { clearOfMidnight, waitFor } from '@maildoot/testkit/wait';
import { expireStats } from '../src/store/stats.ts';
import { createWorld, errorAt, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const { ENGAGEMENT_KIND_OPENED: opened, ENGAGEMENT_KIND_CLICKED: clicked } = EngagementKind;
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';
const html = '<p>Hello <a href="https://shop.example/a?b=1&amp;c=2">there</a> – and so on.</p>';
const to = [
  { email: 'ann@rcpt.example', name: '' },
  { email: 'bob@rcpt.example', name: '' },
];

function tenant(): string {
  const id = newId('ten');
  world.verified.add(`${id} sender.example`);
  return id;
}

const listOf = async (tenantId: string) =>
  (await world.suppressions.listSuppressions({ limit: 9, afterId: '', stream: '', reason: 0, email: '' }, { tenantId })).suppressions;

async function mimeOf(id: string, tenantId: string): Promise<{ text: string; header(name: string): string | undefined }> {
  const mime = await world.content(id, tenantId);
  const { fields } = parseHeaderBlock(mime);
  return {
    text: mime.toString().replaceAll('=\r\n', '').replaceAll('=3D', '='),
    header: (name) => fields.find((field) => field.name.toLowerCase() === name)?.value,
  };
}

describe('the frozen bytes', () => {
  it('have marks for the picture and the links in the HTML, and none in the text', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ html, text: '', trackOpens: true, trackClicks: true, to }, {}, own);
    const uuid = idToUuid('msg', id)!;
    const { text } = await mimeOf(id, own);
    const [plain = '', rich = ''] = text.split('Content-Type: text/html');
    assert.ok(plain.includes('https://shop.example/a?b=1&c=2') && !plain.includes('links.example'), 'the text is the sender’s');
    assert.ok(rich.includes(`https://links.example/t/o/${linkMark('open', uuid)}`));
    assert.ok(!rich.includes('shop.example'), 'the link is not left beside');
    const target = new RegExp(`https://links.example/t/c/(${linkMark('click', uuid)}[\\w-]+)`).exec(rich)?.[1] ?? '';
    assert.equal((await world.outboxOf(id))[0]?.personal, true);
    // As delivery fills it in.
    const [key] = linkKeys(undefined, world.secret);
    const holder = { messageId: uuid, recipientNumber: 1 };
    const filled = fillMarks(Buffer.from(target), tokensFor(key, holder)).toString();
    assert.deepEqual(readClickToken([key], filled), { holder, url: 'https://shop.example/a?b=1&c=2' });
  });

  it('begin at the domain’s own tracking host where it has a verified one, and at ours while nobody can say', async () => {
    const [own, asked] = [tenant(), tenant()];
    for (const one of [own, asked]) world.trackingHosts.set(`${one} sender.example`, 'links.sender.example');
    const message = { html, trackOpens: true, trackClicks: true, unsubscribe: {}, to };
    const { text } = await mimeOf((await world.acceptOne(message, {}, own)).id, own);
    assert.equal(text.match(/https:\/\/links\.sender\.example\/(?:t\/o|t\/c|u)\//g)?.length, 3);
    assert.ok(!text.includes('links.example'));
    // Verified a moment ago, so the domain may send; which host it has was never said.
    await world.acceptOne({ to }, {}, asked);
    world.domainService.down = true;
    try {
      const { id } = await world.acceptOne(message, {}, asked);
      assert.ok((await mimeOf(id, asked)).text.includes('https://links.example/u/'));
      const again = await world.acceptOne(message, {}, own);
      assert.ok((await mimeOf(again.id, own)).text.includes('https://links.sender.example/u/'), 'what was said before still holds');
    } finally {
      world.domainService.down = false;
    }
    // Another tenant's domain of the same name is another domain.
    const stranger = tenant();
    assert.ok((await mimeOf((await world.acceptOne(message, {}, stranger)).id, stranger)).text.includes('https://links.example/u/'));
  });

  it('stay as they are without tracking, and where there is no HTML', async () => {
    const own = tenant();
    for (const message of [
      { html, text: 'x' },
      { text: 'https://shop.example/', trackOpens: true, trackClicks: true },
    ]) {
      const { id } = await world.acceptOne({ ...message, to }, {}, own);
      assert.ok(!(await mimeOf(id, own)).text.includes('links.example'));
      assert.equal((await world.outboxOf(id))[0]?.personal, false);
    }
  });

  const oneClick = 'List-Unsubscribe=One-Click';
  const headers: [string, object, (mark: string) => (string | undefined)[]][] = [
    ['ours', {}, (mark) => [`<https://links.example/u/${mark}>`, oneClick]],
    [
      'ours and an address',
      { mailto: 'leave@shop.example' },
      (mark) => [`<https://links.example/u/${mark}>, <mailto:leave@shop.example>`, oneClick],
    ],
    ['the sender’s own', { url: 'https://shop.example/leave?x=1' }, () => ['<https://shop.example/leave?x=1>', oneClick]],
  ];
  for (const [what, unsubscribe, expected] of headers) {
    it(`have the header fields of RFC 8058: ${what}`, async () => {
      const own = tenant();
      const { id } = await world.acceptOne({ unsubscribe, to }, {}, own);
      const { header } = await mimeOf(id, own);
      const mark = linkMark('unsubscribe', idToUuid('msg', id)!);
      assert.deepEqual([header('list-unsubscribe'), header('list-unsubscribe-post')], expected(mark));
    });
  }

  it('are refused where a link can’t be written: no address of ours, a header beside the field, what is no URL', async () => {
    const refused: [object, object, string][] = [
      [{ unsubscribe: {} }, { linkUrl: '' }, 'no_link_url'],
      [{ html, trackOpens: true }, { linkUrl: '' }, 'no_link_url'],
      [{ unsubscribe: {}, headers: [{ name: 'List-Unsubscribe', value: '<https://a.example/>' }] }, {}, 'duplicate_header'],
      [{ unsubscribe: { url: 'http://a.example/' } }, {}, 'invalid_url'],
      [{ unsubscribe: { url: 'https://a.example/>\r\nX: y' } }, {}, 'invalid_url'],
      [{ unsubscribe: { mailto: 'a@b.example>, <https://evil.example/' } }, {}, 'invalid_email'],
      [{ stream: 'Not A Name' }, {}, 'invalid_name'],
    ];
    for (const [message, request, code] of refused) {
      const { issues } = errorAt(await world.accept(message, request), 0);
      assert.ok(
        issues.some((issue) => issue.code === code),
        `${code}: ${JSON.stringify(issues)}`,
      );
    }
  });
});

describe('an opening or a click', () => {
  async function delivered(own: string, finishedAt = new Date(Date.now() - 60_000)): Promise<string> {
    const { id } = await world.acceptOne({ html, trackOpens: true, to, tags: ['january'] }, {}, own);
    const outcome = Outcome.OUTCOME_DELIVERED;
    await world.tellAttempts(
      ...[0, 1].map((recipientNumber) => ({ messageId: id, tenantId: own, recipientNumber, attempt: 1, outcome, finishedAt })),
    );
    await waitFor(async () => (await world.get(id, own)).message?.status === MessageStatus.MESSAGE_STATUS_DELIVERED, { what: 'delivery' });
    return id;
  }
  const visit = (messageId: string, recipientNumber: number, kind: EngagementKind = opened, userAgent = firefox) => {
    const url = kind === clicked ? 'https://shop.example/' : '';
    return world.engagement.recordEngagement({ messageId, recipientNumber, kind, url, userAgent, remoteAddress: '', prefetch: false }, {});
  };
  const eventsOf = async (id: string, own: string) =>
    (await world.get(id, own)).events.filter(({ engagement }) => engagement !== undefined);
  const flags = async (id: string, own: string) => (await world.get(id, own)).message?.recipients.map((one) => [one.opened, one.clicked]);

  it('flags that recipient, and is told in the timeline and in the feed', async () => {
    const own = tenant();
    const id = await delivered(own);
    await visit(id, 1);
    await visit(id, 1, clicked);
    await waitFor(async () => (await eventsOf(id, own)).length === 2, { what: 'the events' });
    assert.deepEqual(await flags(id, own), [
      [false, false],
      [true, true],
    ]);
    const events = await eventsOf(id, own);
    assert.deepEqual(
      events.map(({ type, recipient, engagement }) => [type, recipient, engagement?.url, engagement?.machine]),
      [
        ['message.opened', 'bob@rcpt.example', '', false],
        ['message.clicked', 'bob@rcpt.example', 'https://shop.example/', false],
      ],
    );
    const feed = await waitFor(
      async () => {
        const { events: told } = await world.gateway.listEvents({ limit: 100, after: 0n, waitMs: 0 }, { tenantId: own });
        return told.some(({ event }) => event?.type === 'message.clicked') ? told : undefined;
      },
      { what: 'the feed' },
    );
    assert.deepEqual(
      feed.filter(({ event }) => event?.engagement).map(({ event, tags }) => [event?.type, tags]),
      [
        ['message.opened', ['january']],
        ['message.clicked', ['january']],
      ],
    );
  });

  it('by a machine is told and flags nobody', async () => {
    const own = tenant();
    const id = await delivered(own);
    await visit(id, 0, opened, 'Mozilla/5.0');
    const soon = await delivered(own, new Date());
    await visit(soon, 0);
    await waitFor(async () => (await eventsOf(id, own)).length + (await eventsOf(soon, own)).length === 2, { what: 'the events' });
    assert.equal((await eventsOf(id, own))[0]?.engagement?.machineReason, 'apple_privacy');
    assert.equal((await eventsOf(soon, own))[0]?.engagement?.machineReason, 'too_soon');
    const nobody = [
      [false, false],
      [false, false],
    ];
    assert.deepEqual([await flags(id, own), await flags(soon, own)], [nobody, nobody]);
  });

  it('is told a bounded number of times, and counted once', async () => {
    await clearOfMidnight();
    const own = tenant();
    const id = await delivered(own);
    for (let count = 0; count < 30; count++) await visit(id, 0);
    await visit(id, 1, clicked);
    await waitFor(async () => (await eventsOf(id, own)).some(({ type }) => type === 'message.clicked'), { what: 'the last one' });
    assert.equal((await eventsOf(id, own)).filter(({ type }) => type === 'message.opened').length, 20);
    const day = new Date().toISOString().slice(0, 10);
    const { total } = await world.stats.getStats(GetStatsRequest.fromPartial({ fromDay: day, toDay: day, byDay: true }), { tenantId: own });
    assert.deepEqual([total?.accepted, total?.opened, total?.clicked], [2n, 1n, 1n]);
  });

  it('by a person is told behind however many of machines', async () => {
    const own = tenant();
    const id = await delivered(own);
    for (let count = 0; count < 21; count++) await visit(id, 0, opened, 'Mozilla/5.0');
    await visit(id, 0);
    await visit(id, 0);
    await visit(id, 1, clicked);
    await waitFor(async () => (await eventsOf(id, own)).some(({ type }) => type === 'message.clicked'), { what: 'the last one' });
    const machines = (await eventsOf(id, own)).filter(({ type }) => type === 'message.opened').map(({ engagement }) => engagement?.machine);
    assert.deepEqual(machines, [...Array<boolean>(20).fill(true), false]);
    assert.equal((await flags(id, own))?.[0]?.[0], true);
  });

  it('of a message that is gone, or of nobody, leaves no trace', async () => {
    const own = tenant();
    const id = await delivered(own);
    await visit(newId('msg'), 0);
    await visit(id, 7);
    await visit(id, 0);
    await waitFor(async () => (await eventsOf(id, own)).length === 1, { what: 'the one that is real' });
  });
});

describe('unsubscribing', () => {
  const about = { email: 'bob@rcpt.example', senderDomain: 'sender.example' };

  it('puts that recipient on the list of the group, flags it and tells it, once', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ to, stream: 'broadcast', unsubscribe: { group: 'weekly' } }, {}, own);
    const link = { messageId: id, recipientNumber: 1 };
    assert.deepEqual(await world.engagement.getUnsubscription(link, {}), { ...about, stream: 'weekly', unsubscribed: false });
    assert.deepEqual(await listOf(own), [], 'looking changes nothing');
    for (const _ of [1, 2])
      assert.deepEqual(await world.engagement.unsubscribe({ ...link, userAgent: 'Google' }, {}), { ...about, stream: 'weekly' });
    assert.equal((await world.engagement.getUnsubscription(link, {})).unsubscribed, true);
    assert.deepEqual(
      (await listOf(own)).map(({ email, stream, reason, messageId }) => [email, stream, reason, messageId]),
      [['bob@rcpt.example', 'weekly', SuppressionReason.SUPPRESSION_REASON_UNSUBSCRIBE, id]],
    );
    const { message, events } = await world.get(id, own);
    assert.deepEqual(
      message?.recipients.map(({ unsubscribed }) => unsubscribed),
      [false, true],
    );
    assert.equal(events.filter(({ type }) => type === 'message.unsubscribed').length, 1);
    const next = await world.acceptOne({ to: [to[1]!], stream: 'broadcast', unsubscribe: { group: 'weekly' } }, {}, own);
    assert.equal(next.status, MessageStatus.MESSAGE_STATUS_SUPPRESSED);
    assert.equal((await world.acceptOne({ to: [to[1]!] }, {}, own)).status, MessageStatus.MESSAGE_STATUS_QUEUED, 'account mail goes on');
  });

  it('without a group is from the stream; of a message that is gone is not found', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ to, stream: 'broadcast', unsubscribe: {} }, {}, own);
    const { engagement } = world;
    assert.equal((await engagement.unsubscribe({ messageId: id, recipientNumber: 1, userAgent: '' }, {})).stream, 'broadcast');
    await assert.rejects(engagement.unsubscribe({ messageId: newId('msg'), recipientNumber: 0, userAgent: '' }, {}), rpcError('NOT_FOUND'));
    await assert.rejects(engagement.getUnsubscription({ messageId: id, recipientNumber: 9 }, {}), rpcError('NOT_FOUND'));
  });
});

describe('statistics', () => {
  it('count recipients by day, domain, tag and stream; an event that comes again counts nothing', async () => {
    await clearOfMidnight();
    const own = tenant();
    const day = new Date().toISOString().slice(0, 10);
    await world.suppressions.addSuppressions(
      { suppressions: [{ email: 'cid@rcpt.example', stream: '', reason: 0 }], idempotencyKey: '', requestSha256: Buffer.alloc(0) },
      { tenantId: own },
    );
    const cid = { email: 'cid@rcpt.example', name: '' };
    const { id } = await world.acceptOne({ to: [...to, cid], tags: ['a', 'b', 'a'] }, {}, own);
    const told = (recipientNumber: number, outcome: Outcome) => ({
      ...{ messageId: id, tenantId: own, recipientNumber, attempt: 1, outcome, finishedAt: new Date() },
    });
    const outcomes = [told(0, Outcome.OUTCOME_DELIVERED), told(1, Outcome.OUTCOME_BOUNCED)];
    await world.tellAttempts(...outcomes, ...outcomes);
    await world.tellAttempts(...outcomes);
    const marker = await world.acceptOne({ to: [to[0]!], tags: ['b'], stream: 'broadcast' }, {}, own);
    await world.tellAttempts({ ...told(0, Outcome.OUTCOME_FAILED), messageId: marker.id });
    const ask = async (more: object = {}) =>
      await world.stats.getStats(GetStatsRequest.fromPartial({ fromDay: day, toDay: day, byDay: true, ...more }), { tenantId: own });
    await waitFor(
      async () => {
        const { total } = await ask();
        return total?.failed === 1n && total.suppressed === 1n;
      },
      { what: 'all counts' },
    );
    const numbers = (counts: Awaited<ReturnType<typeof ask>>['total']) =>
      counts && [counts.accepted, counts.delivered, counts.bounced, counts.failed, counts.suppressed].map(Number);
    assert.deepEqual(numbers((await ask()).total), [4, 1, 1, 1, 1]);
    const by = async (dimension: StatsDimension, more: object = {}) =>
      (await ask({ dimension, byDay: false, ...more })).rows.map(({ day: on, value, counts }) => [on, value, numbers(counts)]);
    assert.deepEqual(await by(StatsDimension.STATS_DIMENSION_TAG), [
      ['', 'b', [4, 1, 1, 1, 1]],
      ['', 'a', [3, 1, 1, 0, 1]],
    ]);
    assert.deepEqual(await by(StatsDimension.STATS_DIMENSION_DOMAIN), [['', 'sender.example', [4, 1, 1, 1, 1]]]);
    assert.deepEqual(await by(StatsDimension.STATS_DIMENSION_STREAM, { value: 'broadcast', byDay: true }), [
      [day, 'broadcast', [1, 0, 0, 1, 0]],
    ]);
    const foreign = await world.stats.getStats(GetStatsRequest.fromPartial({ fromDay: day, toDay: day }), { tenantId: tenant() });
    assert.deepEqual(foreign.rows, []);
    await assert.rejects(ask({ fromDay: 'today' }), rpcError('VALIDATION_ERROR'));
  });

  it('are forgotten after their retention, batch by batch', async () => {
    const tenantId = idToUuid('ten', tenant());
    const days = async () =>
      (
        await world.database.pool.query<{ day: string }>('SELECT day::text FROM stat WHERE tenant_id = $1 ORDER BY day', [tenantId])
      ).rows.map(({ day }) => day);
    await world.database.pool.query(
      "INSERT INTO stat (tenant_id, day, dimension, value) SELECT $1, '2020-01-01'::date + n, 1, '' FROM generate_series(0, 9) AS n",
      [tenantId],
    );
    assert.equal(await expireStats(world.database.pool, '2020-01-08', 3), 7);
    assert.deepEqual(await days(), ['2020-01-08', '2020-01-09', '2020-01-10']);
  });
});
