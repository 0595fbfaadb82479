// Where the next page starts. Opaque outside; inside the id of the last thing shown, which contains its own time: a position, not a right,
// so it tells nobody anything about another tenant.
import { type IdPrefix, idToUuid, uuidToId } from '@maildoot/runtime/ids';

/** A cursor behind the thing with this id. */
export function cursorAfter(prefix: IdPrefix, id: string): string {
  const uuid = idToUuid(prefix, id);
  if (uuid === undefined) throw new TypeError(`no cursor can start behind ${prefix}: the id is not one`);
  return Buffer.from(`${prefix}${uuid.replaceAll('-', '')}`, 'latin1').toString('base64url');
}

/** The id behind which a page starts; undefined when the text isn't a cursor of this kind of list. */
export function idBehindCursor(prefix: IdPrefix, cursor: string): string | undefined {
  const match = /^([a-z]{3})([0-9a-f]{8})([0-9a-f]{4})(7[0-9a-f]{3})([89ab][0-9a-f]{3})([0-9a-f]{12})$/.exec(
    Buffer.from(cursor, 'base64url').toString('latin1'),
  );
  if (match?.[1] !== prefix) return undefined;
  const id = uuidToId(prefix, match.slice(2).join('-'));
  // One spelling only: base64url has room for others.
  return cursorAfter(prefix, id) === cursor ? id : undefined;
}
