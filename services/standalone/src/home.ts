/**
 * The data directory: what must survive a restart beside the database. Secrets are made at the first start and kept in
 * `secrets.json` (mode 0600); `up.json` says where the running platform can be reached, `cluster.json` of which processes it is made.
 */
import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { lockDirectory } from '@maildoot/db/embedded/lock';
import { createCertificate } from '@maildoot/runtime/certificate';

export interface Secrets {
  /** Signs the tokens that services show each other. */
  rpcSecret: string;
  /** `id:base64` of 32 bytes; seals DKIM keys. */
  sealKeys: string;
  /** The first tenant's full key and its id; absent until the first start made them. */
  apiKey?: string;
  tenantId?: string;
}

/** What scripts read to find the running platform. */
export interface Up {
  api: string;
  key: string;
  /** Where messages are submitted by SMTP, `host:port`: with STARTTLS, and with TLS from the start. */
  smtp: { starttls: string; tls: string };
  inbox: string;
  docs: string;
  pid: number;
}

/** What the operator's commands read. */
export interface Run {
  databaseUrl: string;
  authAddress: string;
  deliveryAddress: string;
}

/** The processes of a cluster, for those who watch or kill them. */
export interface ClusterFile {
  api: string;
  key: string;
  gateways: readonly string[];
  processes: readonly { name: string; role: string; pid: number }[];
  kafka: { brokers: string };
  postgres: { url: string };
}

export class HomeError extends Error {}

export class Home {
  readonly directory: string;
  secrets: Secrets;

  private constructor(directory: string, secrets: Secrets) {
    this.directory = directory;
    this.secrets = secrets;
  }

  /** Until disposed of, nobody else starts on this directory. @throws HomeError naming who has it */
  async lock(): Promise<AsyncDisposable> {
    try {
      return await lockDirectory(this.directory);
    } catch (cause) {
      throw new HomeError(cause instanceof Error ? cause.message.replace('embedded PostgreSQL: ', 'data directory ') : String(cause), {
        cause,
      });
    }
  }

  /** Opens the directory, makes it and its secrets where they are missing. @throws HomeError with what to do */
  static async open(path: string): Promise<Home> {
    const directory = resolve(path);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const existing = await readJson<Secrets>(join(directory, 'secrets.json'));
      if (existing) return new Home(directory, existing);
      const home = new Home(directory, {
        rpcSecret: randomBytes(32).toString('base64url'),
        sealKeys: `k1:${randomBytes(32).toString('base64')}`,
      });
      await home.keepSecrets({});
      return home;
    } catch (cause) {
      throw homeError(directory, cause);
    }
  }

  get databaseDirectory(): string {
    return join(this.directory, 'postgres');
  }

  /** Files of the certificate for SMTP submission, made by ourselves at the first start. */
  async smtpCertificate(hostname: string): Promise<{ cert: string; key: string; isNew: boolean }> {
    const [cert, key] = [join(this.directory, 'smtp.crt'), join(this.directory, 'smtp.key')];
    try {
      await Promise.all([access(cert), access(key)]);
      return { cert, key, isNew: false };
    } catch {
      const made = createCertificate({ names: [...new Set([hostname, 'localhost', '127.0.0.1'])] });
      await writeFile(key, made.key, { mode: 0o600 });
      await writeFile(cert, made.cert);
      return { cert, key, isNew: true };
    }
  }

  get kafkaDirectory(): string {
    return join(this.directory, 'cluster-kafka');
  }

  async keepSecrets(more: Partial<Secrets>): Promise<void> {
    this.secrets = { ...this.secrets, ...more };
    await writeJson(join(this.directory, 'secrets.json'), this.secrets);
  }

  async announce(up: Up): Promise<void> {
    await writeJson(join(this.directory, 'up.json'), up);
  }

  async keepRun(run: Run): Promise<void> {
    await writeJson(join(this.directory, 'run.json'), run);
  }

  async announceCluster(cluster: ClusterFile): Promise<void> {
    await writeJson(join(this.directory, 'cluster.json'), cluster);
  }

  async withdraw(): Promise<void> {
    for (const file of ['up.json', 'cluster.json']) await rm(join(this.directory, file), { force: true });
  }
}

async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all: a kill between the lines leaves the old file. */
async function writeJson(file: string, value: unknown): Promise<void> {
  const part = `${file}.part`;
  await using handle = await open(part, 'w', 0o600);
  await handle.writeFile(`${JSON.stringify(value, null, 2)}\n`);
  await handle.sync();
  await chmod(part, 0o600);
  await rename(part, file);
}

function homeError(directory: string, cause: unknown): HomeError {
  const code = (cause as NodeJS.ErrnoException).code;
  const what =
    code === 'ENOSPC'
      ? 'the disk is full: free some space'
      : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
        ? 'no permission to write there: set MAILDOOT_HOME to a directory of your own'
        : cause instanceof SyntaxError
          ? 'secrets.json can’t be read: restore it from a backup, or remove the directory to start anew'
          : `it can’t be used (${code ?? String(cause)}): set MAILDOOT_HOME to a directory of your own`;
  return new HomeError(`data directory ${directory}: ${what}`, { cause });
}
