// template: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { keepExpiring } from '@maildoot/db/idempotency-expiry';
import { migrate } from '@maildoot/db/migrate';
import { dbMigrations } from '@maildoot/db/migrations';
import { watchDatabase } from '@maildoot/db/watch';
import { TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import type { Config } from './config.ts';
import { answering } from './errors.ts';
import { createPrograms } from './programs.ts';
import { createRenderPool } from './render-pool.ts';
import { createTemplate } from './rpc/create-template.ts';
import { deleteTemplate } from './rpc/delete-template.ts';
import { getTemplate } from './rpc/get-template.ts';
import { listTemplates } from './rpc/list-templates.ts';
import { listVersions } from './rpc/list-versions.ts';
import { previewTemplate } from './rpc/preview-template.ts';
import { publishTemplate } from './rpc/publish-template.ts';
import { renderTemplates } from './rpc/render-templates.ts';
import { updateTemplate } from './rpc/update-template.ts';
import { openStore } from './store.ts';
import { telemetry } from './telemetry.ts';

const name = 'template';
export const schema = 'template';
export const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url)), dbMigrations];

export interface Running extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  rpcAddress: string;
}

export async function start(config: Config, given: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  const clock = given.clock ?? systemClock;
  const logger = given.logger ?? createLogger({ service: name, level: config.logLevel });
  if (config.migrateAtStart) await migrate({ url: config.databaseUrl, schema, migrations, logger });

  // Disposed of in reverse: the door first, the database last.
  await using starting = new AsyncDisposableStack();
  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName: name, logger }));
  const health = createHealth();
  starting.use(watchDatabase({ database, url, health, applicationName: name, logger }));
  const store = starting.use(openStore(database));
  starting.use(keepExpiring({ pool: database.pool, clock, onFailure: (error) => telemetry.answersNotExpired(logger, error) }));
  const programs = createPrograms(store);
  const pool = starting.use(
    createRenderPool({
      limits: { cpuMs: config.renderCpuLimitMs, memoryUnits: config.renderMemoryUnits },
      threads: config.renderThreads,
      heapMb: config.renderHeapMb,
      onEnded: (limit) => telemetry.threadEnded(logger, limit),
    }),
  );

  const saver = { store, programs, pool, clock };
  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: name,
      logger,
      health,
      implementations: [
        implement(TemplateServiceService, {
          createTemplate: { allow: ['gateway'], handle: answering(createTemplate(saver)) },
          listTemplates: { allow: ['gateway'], handle: answering(listTemplates({ store })) },
          getTemplate: { allow: ['gateway'], handle: answering(getTemplate({ store })) },
          updateTemplate: { allow: ['gateway'], handle: answering(updateTemplate(saver)) },
          deleteTemplate: { allow: ['gateway'], handle: answering(deleteTemplate({ store })) },
          listVersions: { allow: ['gateway'], handle: answering(listVersions({ store })) },
          publishTemplate: { allow: ['gateway'], handle: answering(publishTemplate({ store, clock })) },
          previewTemplate: { allow: ['gateway'], handle: answering(previewTemplate({ store, programs, pool })) },
          renderTemplates: { allow: ['messaging'], handle: answering(renderTemplates({ programs, pool })) },
        }),
      ],
    }),
  );
  starting.defer(async () => {
    health.state = 'draining';
  });
  health.state = 'ready';

  const running = starting.move();
  return { rpcAddress: server.address, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
