// What template knows of templates, kept in memory.
import assert from 'node:assert/strict';
import { type Template, TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { type Answer, errors, type Tenant } from './fake-tenant.ts';
import { sampleTemplate } from './samples.ts';

export function templateService(answer: Answer): ImplementedService {
  const allow = ['gateway'];
  const find = (tenant: Tenant, id: string): Template => {
    const template = tenant.templates.get(id);
    if (!template) throw errors.NOT_FOUND({ message: 'There is no such template.' });
    return template;
  };
  return implement(TemplateServiceService, {
    createTemplate: {
      allow,
      handle: (request, call) =>
        answer('createTemplate', request, call, () => ({ template: sampleTemplate(newId('tpl')), replayed: false })),
    },
    listTemplates: {
      allow,
      handle: (request, call) =>
        answer('listTemplates', request, call, (tenant) => ({ templates: [...tenant.templates.values()], hasMore: false })),
    },
    getTemplate: {
      allow,
      handle: (request, call) => answer('getTemplate', request, call, (tenant) => ({ template: find(tenant, request.id) })),
    },
    updateTemplate: {
      allow,
      handle: (request, call) => answer('updateTemplate', request, call, (tenant) => ({ template: find(tenant, request.id) })),
    },
    deleteTemplate: {
      allow,
      handle: (request, call) =>
        answer('deleteTemplate', request, call, (tenant) => {
          find(tenant, request.id);
          tenant.templates.delete(request.id);
          return {};
        }),
    },
    listVersions: {
      allow,
      handle: (request, call) =>
        answer('listVersions', request, call, (tenant) => {
          const { id, version } = find(tenant, request.id);
          return { versions: version === undefined ? [] : [version], hasMore: false, templateId: id };
        }),
    },
    publishTemplate: {
      allow,
      handle: (request, call) =>
        answer('publishTemplate', request, call, (tenant) => ({ template: find(tenant, request.id), replayed: false })),
    },
    previewTemplate: {
      allow,
      handle: (request, call) =>
        answer('previewTemplate', request, call, (tenant) => ({
          rendered: { subject: 'Order', html: '<p>Ada</p>', text: '', templateId: find(tenant, request.id).id, templateVersion: 1 },
          missingVariables: [],
        })),
    },
    renderTemplates: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
  });
}
