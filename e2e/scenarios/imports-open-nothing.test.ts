/** Importing a service, with nothing in the environment, opens nothing: no socket, no timer, no worker. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));

for (const service of readdirSync(SERVICES).sort()) {
  test(`importing ${service}/service.ts opens nothing`, () => {
    const code = `
      void [process.stdout, process.stderr]; // OpenTelemetry's API looks at console, which opens them
      const before = process.getActiveResourcesInfo();
      await import(${JSON.stringify(`${SERVICES}${service}/src/service.ts`)});
      const opened = process.getActiveResourcesInfo();
      for (const one of before) { const at = opened.indexOf(one); if (at >= 0) opened.splice(at, 1); }
      process.stdout.write(JSON.stringify(opened));`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { env: {}, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), []);
  });
}
