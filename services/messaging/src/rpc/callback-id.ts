// Ids of callbacks in requests. What is no id is not found, as an id that nobody has.
import { idToUuid } from '@maildoot/runtime/ids';
import { noSuchCallback } from '../callbacks/manage.ts';

export function callbackUuid(id: string): string {
  const uuid = idToUuid('cbk', id);
  if (uuid === undefined) throw noSuchCallback();
  return uuid;
}
