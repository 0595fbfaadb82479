// Encoded words in header fields (RFC 2047), as people read them.

const word = /=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bq])\?([^?\s]*)\?=/gi;
/** White space between two encoded words is no part of the text (section 6.2). */
const between = /(\?=)[ \t]+(?==\?[^?\s]+\?[bq]\?[^?\s]*\?=)/gi;

/** @param field latin1, one character per byte, unfolded; bytes beyond ASCII are UTF-8 (RFC 6532) */
export function decodedText(field: string): string {
  return decodedWords(utf8Text(field));
}

/** @param field latin1, one character per byte; bytes beyond ASCII are UTF-8 (RFC 6532) */
export function utf8Text(field: string): string {
  return /[\x80-\xff]/.test(field) ? Buffer.from(field, 'latin1').toString('utf8') : field;
}

/** Of what is text already. */
export function decodedWords(text: string): string {
  if (!text.includes('=?')) return text;
  return text.replace(between, '$1').replace(word, (whole, charset: string, encoding: string, encoded: string) => {
    const bytes = /b/i.test(encoding) ? Buffer.from(encoded, 'base64') : Buffer.from(quoted(encoded), 'latin1');
    try {
      return new TextDecoder(charset).decode(bytes);
    } catch {
      return whole;
    }
  });
}

function quoted(text: string): string {
  return text.replaceAll('_', ' ').replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
