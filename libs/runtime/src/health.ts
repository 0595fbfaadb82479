/**
 * Health of one service. Readiness fails only while starting or draining: a dependency in trouble is a 503 on the calls that need
 * it and a line in `snapshot()`, never a reason to take the pod out of its Service (all of them would go at once).
 */
export type HealthState = 'starting' | 'ready' | 'draining';

export interface DependencyHealth {
  readonly ok: boolean;
  /** Safe to show: no addresses of customers, no credentials. */
  readonly detail: string | undefined;
  /** Since when it has been like this. */
  readonly since: Date;
}

export interface HealthSnapshot {
  readonly state: HealthState;
  readonly ready: boolean;
  readonly dependencies: Readonly<Record<string, DependencyHealth>>;
}

export interface Health {
  state: HealthState;
  /** Says how a dependency is. The time is kept while `ok` stays the same. */
  report(dependency: string, ok: boolean, detail?: string): void;
  snapshot(): HealthSnapshot;
  /** Calls back on every change of state; the answer ends that. */
  subscribe(listener: (state: HealthState) => void): () => void;
}

export function createHealth(): Health {
  let state: HealthState = 'starting';
  const dependencies = new Map<string, DependencyHealth>();
  const listeners = new Set<(state: HealthState) => void>();
  return {
    get state() {
      return state;
    },
    set state(next) {
      if (next === state) return;
      state = next;
      for (const listener of listeners) listener(next);
    },
    report(dependency, ok, detail) {
      const before = dependencies.get(dependency);
      dependencies.set(dependency, { ok, detail, since: before?.ok === ok ? before.since : new Date() });
    },
    snapshot() {
      return { state, ready: state === 'ready', dependencies: Object.fromEntries(dependencies) };
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
