// Who a message that came by SMTP is from. Receivers show one address and check another where a From field can be read in two ways
// (`<a@us.example> <b@bank.example>`), and we sign for what we read: so a field that isn't one address, with a name before it
// and nothing behind it, is refused.
import { type Mailbox, mailboxOf } from '@maildoot/mail/address';
import addressParser from 'nodemailer/lib/addressparser';

// What is in quotes or a comment addresses nobody. A comment within a comment is read in two ways too, and stays.
const quotedOrComment = /"(?:[^"\\]|\\.)*"|\([^()\\]*\)/g;
const maxFieldChars = 8192;

/**
 * @param field unfolded, latin1 or text: what is C1 of a byte may be the half of a letter
 * @param nameOf what people read of the name
 */
export function readFrom(field: string, nameOf: (name: string) => string): { mailbox: Mailbox } | { problem: string } {
  const several = { problem: 'The From field must be one address, with nothing but a name beside it.' };
  const written = addressOf(field);
  if (written === undefined) return several;
  const [one, ...more] = addressParser(field, { flatten: true });
  if (one === undefined || more.length > 0) return several;
  const [read, again] = [mailboxOf(one.address, nameOf(one.name)), mailboxOf(written)];
  if (!read.ok) return { problem: `From: ${read.message}` };
  return again.ok && again.mailbox.address === read.mailbox.address ? { mailbox: read.mailbox } : several;
}

/** Between the angle brackets, or, where there are none, all there is. */
function addressOf(field: string): string | undefined {
  if (field.length > maxFieldChars || /(?![\t\x80-\x9f])\p{Cc}/u.test(field)) return undefined;
  // As long as it was, so that the places are the same.
  const bare = field.replace(quotedOrComment, (found) => (found.startsWith('(') ? ' ' : 'q').repeat(found.length)).replace(/[ \t,;]+$/, '');
  if (/["()\\]/.test(bare)) return undefined;
  const from = bare.indexOf('<');
  if (from === -1) return /^[ \t]*[^ \t>]+$/.test(bare) ? field.slice(0, bare.length).trim() : undefined;
  if (!/^[^<>]*<[^<>]*>$/.test(bare)) return undefined;
  const address = field.slice(from + 1, bare.length - 1).trim();
  // Outside quotes no name has these (RFC 5322 section 3.2.5), and some readers find an address there. Its own is often written twice.
  if (/[:;,@]/.test(bare.slice(0, from)) && field.slice(0, from).trim() !== address) return undefined;
  return address;
}
