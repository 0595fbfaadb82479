// One more process that gives events their places, for tests that kill it or stop it.
//   node feed-sequencer-process.ts <database url>      writes `ready`, works until it is killed
import { openDatabase } from '@maildoot/db/database';
import { systemClock } from '@maildoot/runtime/clock';
import { createLogger } from '@maildoot/runtime/logger';
import { startFeedSequencer } from '../src/jobs/feed-sequencer.ts';
import { createTelemetry } from '../src/telemetry.ts';

const [url = ''] = process.argv.slice(2);
const database = openDatabase({ url, schema: 'messaging', maxConnections: 2, applicationName: `feed sequencer ${process.pid}` });
const telemetry = createTelemetry(createLogger({ service: 'messaging', level: 'silent' }));
const sequencer = startFeedSequencer({ database, clock: systemClock, telemetry, onGrown: () => {} });
process.stdout.write('ready\n');
// As if it committed all the time: without a pause between its passes it is nearly always in the middle of one.
setInterval(() => sequencer.wake(), 1);
