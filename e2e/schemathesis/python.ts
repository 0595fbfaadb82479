// Schemathesis in the environment of the other Python witnesses, .tools/python, at the versions of requirements.txt.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const environment = fileURLToPath(new URL('../../.tools/python', import.meta.url));
const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url));
const oldest = [3, 10] as const;

/** Its path; installs what isn't there. @throws Error that says in one line what is missing */
export function installedSchemathesis(): string {
  const wanted = /^schemathesis==(.+)$/m.exec(readFileSync(requirements, 'utf8'))?.[1] ?? '';
  const program = `${environment}/bin/schemathesis`;
  if (run(program, '--version').output.includes(wanted)) return program;

  const version = run('python3', '-c', 'import sys; print(*sys.version_info[:2])');
  const [major = 0, minor = 0] = version.output.split(' ').map(Number);
  if (version.status !== 0 || major < oldest[0] || (major === oldest[0] && minor < oldest[1]))
    throw new Error(
      `schemathesis needs Python ${oldest.join('.')} or newer as python3${version.status === 0 ? `, not ${major}.${minor}` : ''}`,
    );
  process.stderr.write(`· installing schemathesis ${wanted} into .tools/python (once)\n`);
  if (run(`${environment}/bin/python3`, '--version').status !== 0) {
    const made = run('python3', '-m', 'venv', environment);
    if (made.status !== 0) throw new Error(`schemathesis needs Python’s venv (Debian: python3-venv): ${lastLine(made.output)}`);
  }
  const installed = run(`${environment}/bin/pip`, 'install', '--quiet', '--disable-pip-version-check', '--requirement', requirements);
  if (installed.status !== 0) throw new Error(`schemathesis can’t be installed by pip: ${lastLine(installed.output)}`);
  return program;
}

function run(program: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, output: error ? error.message : `${stdout}${stderr}`.trim() };
}

function lastLine(text: string): string {
  return text.split('\n').at(-1) ?? '';
}
