// The page that one-time links lead to. The token stands behind the # of its address, which browsers don't send anywhere; the page's own script
// sends it, with the password, to the API.
import { readFileSync } from 'node:fs';
import { pageWithPolicy } from './content-security-policy.ts';
import type { Page } from './route.ts';

export function passwordPage(): Page {
  const html = readFileSync(new URL('./pages/password.html', import.meta.url), 'utf8');
  return pageWithPolicy(html, ["style-src 'unsafe-inline'", "connect-src 'self'"]);
}
