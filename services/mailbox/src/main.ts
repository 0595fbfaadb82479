// The process: settings, start, wait for a signal, stop.

import { runMain } from '@maildoot/runtime/main';
import { settings } from './config.ts';

await runMain('mailbox', settings, () => import('./service.ts'));
