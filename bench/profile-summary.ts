/**
 * Who spent the time of a CPU profile: by package, and by function with itself alone and with what it called. By hand:
 * node bench/profile-summary.ts file.cpuprofile [lines]
 */
import { readFile } from 'node:fs/promises';

export interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[];
  startTime: number;
  endTime: number;
  samples: number[];
  timeDeltas: number[];
}

export function summaryOf(profile: CpuProfile, lines = 22): string {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const self = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) self.set(id, (self.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0));
  const total = [...self.values()].reduce((sum, us) => sum + us, 0);
  const idle = profile.nodes
    .filter((node) => node.callFrame.functionName === '(idle)')
    .reduce((sum, node) => sum + (self.get(node.id) ?? 0), 0);
  const busy = total - idle;

  const byFunction = new Map<string, number>();
  const byPackage = new Map<string, number>();
  const inclusive = new Map<string, number>();
  const add = (sums: Map<string, number>, key: string, us: number) => void sums.set(key, (sums.get(key) ?? 0) + us);
  const visit = (id: number, above: ReadonlySet<string>): number => {
    const node = nodes.get(id);
    if (node === undefined) return 0;
    const name = nameOf(node.callFrame);
    const own = self.get(id) ?? 0;
    let sum = own;
    const path = above.has(name) ? above : new Set([...above, name]);
    for (const child of node.children ?? []) sum += visit(child, path);
    if (node.callFrame.functionName !== '(idle)') {
      add(byFunction, name, own);
      add(byPackage, packageOf(node.callFrame), own);
      // A recursive function counts once.
      if (!above.has(name)) add(inclusive, name, sum);
    }
    return sum;
  };
  const [root] = profile.nodes;
  if (root !== undefined) visit(root.id, new Set());

  const top = (sums: Map<string, number>, count: number) =>
    [...sums]
      .sort((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([name, us]) => `    ${((us / busy) * 100).toFixed(1).padStart(5)} %  ${name}`)
      .join('\n');
  if (busy / total < 0.05) return `  main thread busy ${((busy / total) * 100).toFixed(1)} %`;
  const share = ((busy / total) * 100).toFixed(0);
  const named = [...inclusive].filter(([name]) => !name.startsWith('('));
  return [
    `  main thread busy ${share} % of ${(total / 1e6).toFixed(1)} s; of that`,
    '  by package',
    top(byPackage, 16),
    '  by function, itself',
    top(byFunction, lines),
    '  by function, with what it called',
    top(new Map(named), lines + 10),
  ].join('\n');
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${shortUrl(url)}:${lineNumber + 1}`;
}

function shortUrl(url: string): string {
  const path = url.replace(/^file:\/\//, '');
  const inPackage = /.*\/node_modules\/(?!\.pnpm)(.+)$/.exec(path)?.[1];
  return inPackage ?? path.replace(/^.*\/(services|libs|proto|bench)\//, '$1/');
}

function packageOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return functionName.startsWith('(') ? functionName : `native ${functionName}`;
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/');
  const short = shortUrl(url);
  return short.startsWith('@') || /^(services|libs|proto|bench)\//.test(short)
    ? short.split('/').slice(0, 2).join('/')
    : (short.split('/')[0] ?? short);
}

if (import.meta.main) {
  const [path, lines] = process.argv.slice(2);
  if (path === undefined) throw new Error('usage: profile-summary.ts file.cpuprofile [lines]');
  console.log(summaryOf(JSON.parse(await readFile(path, 'utf8')) as CpuProfile, Number(lines ?? 40)));
}
