// What work costs, for tests that say how its time grows with its size.

/** Processor time of this thread, which on a busy machine is not that of the clock. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
