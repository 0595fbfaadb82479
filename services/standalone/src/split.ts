/** A process per role on one machine, one of each. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { splitHostPort } from '@maildoot/runtime/config';
import type { StartedRoles } from './one-process.ts';
import { spawnRole } from './role-process.ts';
import { isDoor, ROLES, type Role, type Surroundings } from './roles.ts';

const READY_WITHIN_MS = 30_000;

export async function startRoleProcesses(surroundings: Surroundings): Promise<StartedRoles> {
  const httpPort = surroundings.config.httpPort === 0 ? await freePort(surroundings.config.httpHost) : surroundings.config.httpPort;
  const smtp = {
    starttls: await placedAt(surroundings.config.smtpListen),
    tls: await placedAt(surroundings.config.smtpsListen),
  };
  const config = { ...surroundings.config, httpPort, smtpListen: smtp.starttls, smtpsListen: smtp.tls };
  const smtpHealth = `127.0.0.1:${await freePort('127.0.0.1')}`;
  const placed = { ...surroundings, config, smtpHealth };
  const children = new Map<Role, ChildProcess>();
  let stopping = false;

  const stop = async () => {
    stopping = true;
    // The doors first: a role is stopped only after everything that calls it.
    for (const role of ROLES.toReversed()) {
      const child = children.get(role);
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  };

  try {
    const ended: Promise<Error>[] = [];
    for (const role of ROLES) {
      const child = spawnRole(role, placed);
      children.set(role, child);
      ended.push(
        once(child, 'exit').then(([code, signal]) =>
          stopping ? new Promise<Error>(() => {}) : new Error(`${role} ended (${signal ?? code})`),
        ),
      );
    }
    const broken = Promise.race(ended);
    const httpUrl = `http://${placed.config.httpHost}:${httpPort}`;
    const died = broken.then((error) => Promise.reject(error));
    died.catch(() => {});
    await Promise.race([Promise.all(ROLES.map((role) => isUp(role, placed, role === 'smtp' ? `http://${smtpHealth}` : httpUrl))), died]);
    return {
      httpUrl: placed.config.publicUrl ?? httpUrl,
      smtp,
      pids: [...children.values()].map((child) => child.pid as number),
      broken,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function isUp(role: Role, surroundings: Surroundings, httpUrl: string): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  const answers = async () =>
    isDoor(role) ? (await fetch(`${httpUrl}/readyz`)).ok : access(surroundings.addresses[role].slice('unix:'.length)).then(() => true);
  while (!(await answers().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${role} was not up within ${READY_WITHIN_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function placedAt(listen: string): Promise<string> {
  const { host, port } = splitHostPort(listen);
  return port === 0 ? `${host}:${await freePort(host)}` : listen;
}

async function freePort(host: string): Promise<number> {
  const probe = createServer().listen(0, host);
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
