// The settings of template.
import { databaseSettings, observabilitySettings, rpcSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings, integer } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...observabilitySettings,
  renderThreads: integer('RENDER_THREADS', {
    default: 4,
    min: 1,
    max: 64,
    unit: 'threads',
    meaning: 'At most so many threads parse and render templates; a tenant has one at a time.',
  }),
  renderCpuLimitMs: integer('RENDER_CPU_LIMIT', {
    default: 250,
    min: 10,
    max: 5000,
    unit: 'ms',
    meaning: 'The CPU time that a template may take for one message.',
  }),
  renderMemoryUnits: integer('RENDER_MEMORY_LIMIT', {
    default: 2_000_000,
    min: 10_000,
    max: 50_000_000,
    unit: 'characters',
    meaning: 'How much text and list items a template may make on the way to one message.',
  }),
  renderHeapMb: integer('RENDER_HEAP', {
    default: 128,
    min: 32,
    max: 4096,
    unit: 'MB',
    meaning: 'The memory of a thread; one that takes more is ended and replaced.',
  }),
});

export type Config = ConfigOf<typeof settings>;
