// Everything that template reports. Sources, variables and what comes of them appear nowhere.
import type { RenderResult } from '@maildoot/proto/maildoot/template/v1/template';
import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram } from '@maildoot/runtime/telemetry';

const service = 'template';

const saves = counter(service, 'maildoot_templates_saved_total', { description: 'Templates made, changed, published and deleted' });
const renders = counter(service, 'maildoot_templates_rendered_total', { description: 'Messages rendered, by what came of them' });
const renderDuration = histogram(service, 'maildoot_templates_render_seconds', {
  description: 'Rendering the messages of one request',
  unit: 's',
  advice: { explicitBucketBoundaries: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] },
});
const threadsEnded = counter(service, 'maildoot_templates_threads_ended_total', {
  description: 'Render threads that were ended because a template took more than a thread has',
});

export const telemetry = {
  saved(logger: Logger, how: 'created' | 'changed' | 'published' | 'deleted'): void {
    saves.add(1, { how });
    logger.debug({ how }, 'a template was saved');
  },
  rendered(results: readonly RenderResult[], durationMs: number): void {
    renderDuration.record(durationMs / 1000);
    const counts = new Map<string, number>();
    for (const { result } of results) {
      const outcome = result?.$case === 'error' ? result.value.code : 'rendered';
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    for (const [outcome, count] of counts) renders.add(count, { outcome });
  },
  threadEnded(logger: Logger, limit: string): void {
    threadsEnded.add(1, { limit });
    logger.warn({ limit }, 'a render thread was ended with the template that it was rendering, and is replaced');
  },
  answersNotExpired(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'expired idempotency records could not be removed; tried again later');
  },
};
