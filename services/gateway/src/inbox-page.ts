// The test inbox for people. The page is a file of its own; its mail is untrusted, so that HTML is shown only in a frame without any rights.
import { readFileSync } from 'node:fs';
import { pageWithPolicy } from './content-security-policy.ts';
import type { Page } from './route.ts';

export function inboxPage(): Page {
  const html = readFileSync(new URL('./pages/inbox.html', import.meta.url), 'utf8');
  // Styles inline, because the frame inherits this policy and mail is styled inline; pictures only those that the mail itself carries.
  return pageWithPolicy(html, ["style-src 'unsafe-inline'", 'img-src data:', "connect-src 'self'"]);
}
