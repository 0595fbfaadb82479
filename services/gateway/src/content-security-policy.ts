// The policy of a page of our own: only the scripts that stand in it, told by their hashes (CSP 3), and whatever the page asks for besides.
import { createHash } from 'node:crypto';
import type { Page } from './route.ts';

/** `more`: directives beside those that every page has. */
export function pageWithPolicy(html: string, more: readonly string[]): Page {
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, text]) =>
      `'sha256-${createHash('sha256')
        .update(text ?? '')
        .digest('base64')}'`,
  );
  const directives = [
    "default-src 'none'",
    scripts.length === 0 ? "script-src 'none'" : `script-src ${scripts.join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...more,
  ];
  return { html, contentSecurityPolicy: directives.join('; ') };
}

/** Text as it must stand in HTML, in attributes too. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
