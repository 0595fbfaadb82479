// A template and its versions as answers show them.
import type { Template, Version } from '@maildoot/proto/maildoot/template/v1/template';
import { uuidToId } from '@maildoot/runtime/ids';
import type { StoredTemplate, StoredVersion } from './store.ts';

export function shownTemplate(template: StoredTemplate, version?: StoredVersion): Template {
  return {
    id: uuidToId('tpl', template.id),
    alias: template.alias ?? '',
    name: template.name,
    createdAt: template.createdAt,
    updatedAt: template.updatedAt,
    publishedVersion: template.publishedVersion ?? 0,
    latestVersion: template.latestVersion,
    version: version && shownVersion(template, version),
  };
}

export function shownVersion(template: Pick<StoredTemplate, 'publishedVersion'>, version: StoredVersion): Version {
  const { number, subject, html, text, variables, createdAt } = version;
  return { number, subject, html, text, variables, createdAt, published: number === template.publishedVersion };
}
