// The real service on a real, fresh database, and clients of it as its callers see it.
import { openDatabase } from '@maildoot/db/database';
import {
  CreateTemplateRequest,
  type DeepPartial,
  type Rendered,
  type RenderResult,
  type Template,
  TemplateServiceService,
  UpdateTemplateRequest,
} from '@maildoot/proto/maildoot/template/v1/template';
import { createRpcClient } from '@maildoot/rpc/client';
import { loadSettings } from '@maildoot/runtime/config';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { captureLogs } from '@maildoot/testkit/logs';
import { settings } from '../src/config.ts';
import { migrations, schema, start } from '../src/service.ts';

const tables = tablesOf({ [schema]: migrations });

const secret = 'a secret of at least 32 characters for tests';

export async function startTemplates(env: Record<string, string> = {}) {
  await using starting = new AsyncDisposableStack();
  const testDatabase = starting.use(await createTestDatabase({ template: tables }));
  const logs = captureLogs();
  const clock = new TestClock(new Date('2026-11-21T12:00:00Z'));
  const config = loadSettings(settings, { DATABASE_URL: testDatabase.url, MIGRATE_AT_START: 'true', RPC_SECRET: secret, ...env });
  const logger = createLogger({ service: 'template', level: 'debug', destination: logs.destination });
  const service = starting.use(await start(config, { clock, logger }));
  const client = (self: string) =>
    starting.use(createRpcClient(TemplateServiceService, { address: service.rpcAddress, self, secret, defaultDeadlineMs: 60_000 }));
  const database = starting.use(openDatabase({ url: testDatabase.url, schema, maxConnections: 2, applicationName: 'test' }));
  const gateway = client('gateway');
  const messaging = client('messaging');
  const tenantId = newId('ten');
  const running = {
    gateway,
    messaging,
    clock,
    logs,
    database,
    tenantId,
    async create(parts: DeepPartial<CreateTemplateRequest>, tenant = tenantId): Promise<Template> {
      const request = CreateTemplateRequest.fromPartial({ name: 'A template', subject: 'Hello', ...parts });
      return present(await gateway.createTemplate(request, { tenantId: tenant }));
    },
    async update(id: string, parts: DeepPartial<UpdateTemplateRequest>, tenant = tenantId): Promise<Template> {
      return present(await gateway.updateTemplate(UpdateTemplateRequest.fromPartial({ id, ...parts }), { tenantId: tenant }));
    },
    async render(items: { template: string; version?: number; variables?: unknown }[], tenant = tenantId): Promise<RenderResult[]> {
      const { results } = await messaging.renderTemplates(
        {
          items: items.map(({ template, version = 0, variables = {} }) => ({
            template,
            version,
            variablesJson: Buffer.from(JSON.stringify(variables)),
          })),
        },
        { tenantId: tenant },
      );
      return results;
    },
    /** One item that must come out well. */
    async fill(template: string, variables: unknown = {}, tenant = tenantId): Promise<Rendered> {
      return renderedOf((await running.render([{ template, variables }], tenant))[0]);
    },
  };
  const parts = starting.move();
  return { ...running, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

export type RunningTemplates = Awaited<ReturnType<typeof startTemplates>>;

export function present({ template }: { template: Template | undefined }): Template {
  if (template === undefined) throw new Error('no template came back');
  return template;
}

function renderedOf(result: RenderResult | undefined): Rendered {
  if (result?.result?.$case !== 'rendered') throw new Error(`not rendered: ${JSON.stringify(result)}`);
  return result.result.value;
}

export function errorOf(result: RenderResult | undefined) {
  if (result?.result?.$case !== 'error') throw new Error(`no error: ${JSON.stringify(result)}`);
  return result.result.value;
}
