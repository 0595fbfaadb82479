// Generates the Prisma client of every service that has a schema, into services/<service>/gen/prisma; a client that fits its schema
// already is left as it is, so this may run before everything else.
//
//   node tools/prisma-generate.ts [service …]
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

async function generate(service: string): Promise<void> {
  const directory = `${root}/services/${service}`;
  const schema = `${directory}/prisma/schema.prisma`;
  const mark = `${directory}/gen/prisma/.generated-from`;
  const wanted = createHash('sha256')
    .update(await readFile(schema))
    .update(await readFile(`${root}/node_modules/prisma/package.json`))
    .update(await readFile(import.meta.filename))
    .digest('hex');
  if ((await readFile(mark, 'utf8').catch(() => '')) === wanted) return;
  const env = {
    ...process.env,
    // Generating never runs the engine, but downloads it unless there is one: any executable will do.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  const cli = `${root}/node_modules/prisma/build/index.js`;
  try {
    await promisify(execFile)(process.execPath, [cli, 'generate', '--schema', schema], { cwd: root, env });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`prisma generate failed for ${service}:\n${stderr ?? ''}${stdout ?? ''}`.trim(), { cause: error });
  }
  const client = `${directory}/gen/prisma/client.ts`;
  if (!existsSync(client)) throw new Error(`${schema}: its generator must have provider "prisma-client" and output "../gen/prisma"`);
  // Importing the whole of node:process opens standard input; the global has all the client wants.
  await writeFile(client, (await readFile(client, 'utf8')).replace("import * as process from 'node:process'\n", ''));
  await writeFile(mark, wanted);
  console.log(`generated the Prisma client of ${service}`);
}

const asked = process.argv.slice(2);
const services = (await readdir(`${root}/services`)).filter((service) => existsSync(`${root}/services/${service}/prisma/schema.prisma`));
const unknown = asked.filter((service) => !services.includes(service));
try {
  if (unknown.length > 0) throw new Error(`no services/${unknown[0]}/prisma/schema.prisma`);
  for (const service of asked.length > 0 ? asked : services) await generate(service);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
