// The process of this service: settings from the environment, start, wait for a signal, stop.
import { runMain } from '@maildoot/runtime/main';
import { settings } from './config.ts';

await runMain('messaging', settings, () => import('./service.ts'));
