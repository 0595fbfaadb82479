/**
 * What each operation of the served document takes that may name a thing of somebody's, and which thing that is. The scenario reads every
 * place where a caller can write text from the document itself: one that is neither here nor among those that name nothing fails it.
 */
import { inTwentyDays, type Thing, type Things } from './tenant-isolation-estate.ts';

export interface Row {
  /** Whose credential; a key by default. */
  as?: 'session' | 'leaving' | 'pat' | 'nobody';
  /** The parameter of the path. */
  path?: Thing;
  query?: Readonly<Record<string, Thing>>;
  headers?: Readonly<Record<string, Thing>>;
  /** A body that works, of things that are the caller's own. */
  body?: (own: Things) => Record<string, unknown>;
  /** The text in the body that names a thing; written into the body above, or into `instead` of it. */
  names?: Readonly<Record<string, Thing | Named>>;
  /** Leaves traces in the account that is named, as it should: done at the end, when that account has been looked at. */
  traces?: boolean;
  /** One’s own is answered like nobody’s: there is nothing to tell apart. */
  alike?: true;
  /** Ends what the caller calls with: done at the end. */
  last?: boolean;
}

export interface Named {
  thing: Thing;
  instead?: (value: string, own: Things) => Record<string, unknown>;
  /** The contract has it say that there is such a thing, and no more. */
  tells?: string;
  /** Naming one’s own is like naming nobody’s: there is nothing to tell apart. */
  alike?: true;
}

let made = 0;
/** A name that nobody has, always of the same length. */
const fresh = (): string => `fresh-${String(++made).padStart(6, '0')}`;

const message = ({ sender }: Things) => ({ from: sender, to: 'accept+x@simulator.localhost', subject: 'Hello', text: 'Hello!' });
const ofTemplate = (template_id: string, { sender }: Things) => ({
  from: sender,
  to: 'accept+x@simulator.localhost',
  template_id,
  variables: { n: 1 },
});
const rendering = (alias: string) => `{% render '${alias}' %}`;
const addressed = { from: 'sender', 'from.email': 'sender', to: 'suppressed', cc: 'suppressed', bcc: 'suppressed' } as const;
const partials = {
  html: { thing: 'alias', instead: (alias: string) => ({ name: 'x', subject: 'x', html: rendering(alias) }) },
  text: { thing: 'alias', instead: (alias: string) => ({ name: 'x', subject: 'x', text: rendering(alias) }) },
  subject: { thing: 'alias', alike: true, instead: (alias: string) => ({ name: 'x', subject: rendering(alias), text: 'x' }) },
} as const;

export const rows: Readonly<Record<string, Row>> = {
  'POST /v1/messages': {
    body: message,
    names: {
      ...addressed,
      template_id: { thing: 'template', instead: ofTemplate },
      'messages[].from': { thing: 'sender', instead: (from, own) => ({ messages: [{ ...message(own), from }, message(own)] }) },
      'messages[].template_id': { thing: 'template', instead: (id, own) => ({ messages: [ofTemplate(id, own), message(own)] }) },
      '[].from': { thing: 'sender', instead: (from, own) => [{ ...message(own), from }, message(own)] as never },
      '[].template_id': { thing: 'alias', instead: (id, own) => [message(own), ofTemplate(id, own)] as never },
    },
  },
  'GET /v1/messages': {
    query: {
      cursor: 'next /v1/messages',
      from: 'sender',
      to: 'recipient',
      subject: 'subject',
      tag: 'tag',
      'metadata[order]': 'order',
      domain: 'domain',
      batch_id: 'batch',
      template_id: 'template',
      stream: 'stream',
    },
  },
  'DELETE /v1/messages': { query: { batch_id: 'batch' } },
  'GET /v1/messages/{id}': { path: 'message' },
  'PATCH /v1/messages/{id}': { path: 'scheduled', body: () => ({ send_at: inTwentyDays() }) },
  'DELETE /v1/messages/{id}': { path: 'scheduled' },
  'GET /v1/messages/{id}/timeline': { path: 'message', query: { cursor: 'next /v1/user-settings/callbacks/{id}/attempts' } },
  'GET /v1/messages/{id}/content': { path: 'message' },
  'POST /v1/messages/{id}/resend': { path: 'message' },
  'POST /v1/templates': {
    body: () => ({ name: 'x', alias: fresh(), subject: 'x', text: 'x' }),
    names: { alias: 'otherAlias', ...partials },
  },
  'GET /v1/templates': { query: { cursor: 'next /v1/templates' } },
  'GET /v1/templates/{id}': { path: 'template' },
  'PATCH /v1/templates/{id}': {
    path: 'template',
    body: () => ({ text: 'Hello {{ n }}' }),
    names: {
      html: { thing: 'alias', instead: partials.html.instead },
      text: { thing: 'alias', instead: partials.text.instead },
      subject: partials.subject,
      alias: { thing: 'alias', alike: true },
    },
  },
  'DELETE /v1/templates/{id}': { path: 'template' },
  'POST /v1/templates/{id}/send': {
    path: 'template',
    body: ({ sender }) => ({ from: sender, to: 'accept+x@simulator.localhost', variables: { n: 1 } }),
    names: addressed,
  },
  'POST /v1/templates/{id}/preview': { path: 'template', body: () => ({ variables: { n: 1 } }) },
  'GET /v1/templates/{id}/versions': { path: 'template' },
  'POST /v1/templates/{id}/publish': { path: 'template', body: () => ({ version: 1 }) },
  'GET /v1/events': { query: { after: 'seq', cursor: 'next /v1/events' }, headers: { 'Last-Event-ID': 'seq' } },
  'GET /v1/stats': { query: { domain: 'domain', tag: 'tag', stream: 'stream' } },
  'GET /v1/user-settings/suppressions': {
    query: { cursor: 'next /v1/user-settings/suppressions', email: 'suppressed', stream: 'stream' },
  },
  'POST /v1/user-settings/suppressions': {
    body: () => ({ email: `${fresh()}@x.example` }),
    names: { email: { thing: 'left', alike: true } },
  },
  'POST /v1/user-settings/suppressions/import': {
    body: () => ({ suppressions: [{ email: `${fresh()}@x.example` }] }),
    names: { 'suppressions[].email': { thing: 'left', alike: true, instead: (email) => ({ suppressions: [{ email }] }) } },
  },
  'GET /v1/user-settings/suppressions/export': { query: { stream: 'stream' } },
  'DELETE /v1/user-settings/suppressions/{email}': { path: 'suppressed', query: { stream: 'stream' }, alike: true },
  'GET /v1/user-settings/callbacks': { query: { cursor: 'next /v1/user-settings/callbacks' } },
  'POST /v1/user-settings/callbacks': { body: () => ({ url: 'http://127.0.0.1:9/x', events: ['domain.*'] }) },
  'GET /v1/user-settings/callbacks/{id}': { path: 'callback' },
  'PATCH /v1/user-settings/callbacks/{id}': { path: 'callback', body: () => ({ description: 'x' }) },
  'DELETE /v1/user-settings/callbacks/{id}': { path: 'callback' },
  'POST /v1/user-settings/callbacks/{id}/test': { path: 'callback' },
  'POST /v1/user-settings/callbacks/{id}/rotate-secret': { path: 'callback' },
  'GET /v1/user-settings/callbacks/{id}/attempts': {
    path: 'callback',
    query: { cursor: 'next /v1/user-settings/callbacks/{id}/attempts', event_id: 'event' },
  },
  'POST /v1/user-settings/callbacks/{id}/replay': { path: 'callback', body: () => ({ since: new Date(1).toISOString() }) },
  'GET /v1/user-settings/domains': { query: { cursor: 'next /v1/user-settings/domains' } },
  'POST /v1/user-settings/domains': {
    body: () => ({ domain: `${fresh()}.example` }),
    names: { domain: { thing: 'domain', tells: 'DOMAIN_EXISTS' } },
  },
  'GET /v1/user-settings/domains/{domain}': { path: 'domain' },
  'DELETE /v1/user-settings/domains/{domain}': { path: 'domain' },
  'POST /v1/user-settings/domains/{domain}/verify': { path: 'domain' },
  'POST /v1/user-settings/domains/{domain}/rotate-dkim': { path: 'domain' },
  'GET /v1/user-settings/smtp-users': { query: { cursor: 'next /v1/user-settings/smtp-users' } },
  'POST /v1/user-settings/smtp-users': {
    body: () => ({ username: fresh() }),
    names: { username: { thing: 'username', tells: 'USERNAME_TAKEN' }, domain: { thing: 'domain', alike: true } },
  },
  'DELETE /v1/user-settings/smtp-users/{id}': { path: 'smtpUser' },
  'POST /v1/user-settings/smtp-users/{id}/reset-password': { path: 'smtpUser' },
  'GET /v1/api-keys': { query: { cursor: 'next /v1/api-keys' } },
  'POST /v1/api-keys': {
    body: () => ({ name: 'x', scope: 'read' }),
    names: {
      'allowed_domains[]': { thing: 'domain', alike: true, instead: (domain) => ({ name: 'x', scope: 'read', allowed_domains: [domain] }) },
    },
  },
  'DELETE /v1/api-keys/{id}': { path: 'key' },
  'POST /v1/auth/login': {
    as: 'nobody',
    traces: true,
    body: () => ({ email: 'x@x.example', password: 'no password of anybody' }),
    names: { email: { thing: 'owner', alike: true } },
  },
  'POST /v1/auth/refresh': { as: 'nobody' },
  'POST /v1/auth/logout': { as: 'leaving', last: true },
  'GET /v1/auth/sessions': { as: 'session', query: { cursor: 'next /v1/auth/sessions' } },
  'DELETE /v1/auth/sessions': { as: 'session', last: true },
  'DELETE /v1/auth/sessions/{id}': { as: 'session', path: 'session' },
  'POST /v1/auth/password': {
    as: 'session',
    last: true,
    body: () => ({ current_password: 'no password of anybody', new_password: 'another password of nobody' }),
  },
  'POST /v1/auth/password/reset': {
    as: 'nobody',
    traces: true,
    body: () => ({ email: 'x@x.example' }),
    names: { email: { thing: 'owner', alike: true } },
  },
  'POST /v1/auth/password/reset/complete': { as: 'nobody', body: () => ({ token: 'x', new_password: 'another password of nobody' }) },
  'GET /v1/user/me': { as: 'pat' },
  'GET /v1/user/settings': { as: 'pat' },
  'POST /v1/user/regenerate_auth_pat': {},
  'GET /v1/team/members': { query: { cursor: 'next /v1/team/members' } },
  'POST /v1/team/members': {
    body: () => ({ email: `${fresh()}@x.example`, role: 'viewer' }),
    names: { email: { thing: 'invited', alike: true } },
  },
  'DELETE /v1/team/members/{id}': { path: 'member' },
  'GET /v1/audit-log': { query: { cursor: 'next /v1/audit-log' } },
  'GET /v1/test/inbox': {
    query: { cursor: 'next /v1/test/inbox', to: 'reader', subject: 'subject', message_id: 'capturedMessage' },
  },
  'GET /v1/test/inbox/{id}': { path: 'captured' },
  'GET /v1/test/inbox/{id}/raw': { path: 'captured' },
  'GET /.well-known/jwks.json': { as: 'nobody' },
  'GET /password': { as: 'nobody' },
  'GET /inbox': { as: 'nobody' },
  'GET /t/o/{token}': { as: 'nobody' },
  'GET /t/c/{token}': { as: 'nobody' },
  'GET /u/{token}': { as: 'nobody' },
  'POST /u/{token}': { as: 'nobody' },
  'GET /v1/openapi.json': { as: 'nobody' },
  'GET /docs': { as: 'nobody' },
  'GET /docs/errors': { as: 'nobody' },
  'GET /healthz': { as: 'nobody' },
  'GET /readyz': { as: 'nobody' },
};
