// Whether a message can be sent to hosts with SMTPUTF8 alone (RFC 6531 section 3.5): a field of its header has an address beyond ASCII.
// Bytes beyond ASCII elsewhere (a name, a subject as some submit them) don't count: hosts have always taken those as they are, and whoever
// relays them on may be stricter about what was sent with SMTPUTF8.
import { isAscii, isUtf8 } from 'node:buffer';
import { parseHeaderBlock } from '@maildoot/mail/headers';
import addressParser from 'nodemailer/lib/addressparser';

const fieldsWithAddresses = /^(?:resent-)?(?:from|sender|reply-to|to|cc)$/i;

export function hasUtf8Address(message: Buffer): boolean {
  return parseHeaderBlock(message).fields.some(({ name, value }) => {
    if (!/[\x80-\xff]/.test(value) || !fieldsWithAddresses.test(name)) return false;
    const bytes = Buffer.from(value, 'latin1');
    // Another charset's bytes are no address in any case.
    if (!isUtf8(bytes)) return false;
    return addressParser(bytes.toString('utf8'), { flatten: true }).some(({ address }) => !isAscii(Buffer.from(address)));
  });
}
