// Keeps spare DKIM keys ready: at start, whenever some were taken, and now and then for what another pod took.

import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { type Repeating, repeat } from '@maildoot/runtime/repeat';
import type { SpareKeys } from '../spare-keys.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 60_000;

export function startFillingSpareKeys({ spareKeys, clock, logger }: { spareKeys: SpareKeys; clock: Clock; logger: Logger }): Repeating {
  return repeat({
    everyMs,
    clock,
    run: (stopping) => spareKeys.fill(stopping),
    onFailure: (error) => telemetry.sparesNotMade(logger, error),
  });
}
