// Times as the API writes them: see libs/webhooks, which needs them as well.
export { timeJson, timeOf } from '@maildoot/webhooks/time-json';
