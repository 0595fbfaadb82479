// The pages behind an unsubscribe link. No script, nothing from elsewhere, and a form that posts to the page's own address.
import { escapeHtml, pageWithPolicy } from './content-security-policy.ts';
import { type Answer, type Page, page } from './route.ts';

interface Unsubscription {
  email: string;
  stream: string;
  senderDomain: string;
}

/** What is asked before anything changes. */
export function askPage(about: Unsubscription, already: boolean): Answer {
  if (already) return donePage(about);
  return answerOf(
    'Unsubscribe',
    `<p>${whom(about)} will get no more messages of the kind <b>${escapeHtml(about.stream)}</b> from <b>${escapeHtml(about.senderDomain)}</b>.</p>
<form method="post"><button type="submit">Unsubscribe</button></form>`,
  );
}

export function donePage(about: Unsubscription): Answer {
  return answerOf(
    'You are unsubscribed',
    `<p>${whom(about)} gets no more messages of the kind <b>${escapeHtml(about.stream)}</b> from <b>${escapeHtml(about.senderDomain)}</b>.</p>`,
  );
}

/** The link itself may be passed on: it shows whose it is to those who know anyway. */
function whom({ email }: Unsubscription): string {
  const at = email.lastIndexOf('@');
  return `<b>${escapeHtml(`${email.slice(0, 1)}…${email.slice(at)}`)}</b>`;
}

function answerOf(title: string, body: string): Answer {
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>${title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}button{font:inherit;padding:.5em 1.5em}</style></head>
<body><h1>${title}</h1>
${body}
</body></html>
`;
  return page(made(html));
}

function made(html: string): Page {
  const { contentSecurityPolicy } = pageWithPolicy(html, ["style-src 'unsafe-inline'"]);
  return { html, contentSecurityPolicy: contentSecurityPolicy.replace("form-action 'none'", "form-action 'self'") };
}
