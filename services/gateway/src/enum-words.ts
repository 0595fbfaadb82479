// Enums of the services' contract as the API's words: see libs/webhooks, which needs them as well.
export { type EnumWords, enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
