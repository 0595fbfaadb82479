// Domain names in paths, as people write them. What can be none is nobody's domain, and is answered like one.
import { domainToASCII } from 'node:url';
import { notFound } from './errors.ts';

/** In A-labels, without the dot at the end that DNS writes. @throws ApiError NOT_FOUND */
export function pathDomain({ domain = '' }: Readonly<Record<string, string>>): string {
  const name = domainToASCII(domain.replace(/\.$/, ''));
  if (name === '') throw notFound();
  return name;
}

export const domainParam = { domain: { description: 'The name.', example: 'yourdomain.com' } };
