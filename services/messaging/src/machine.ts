// Whether a program opened a message or followed a link, as far as can be told. Programs open mail to look for harm, and to hide from senders
// who reads it; counting them would make every message look read.

/** What is known of an opening or a click. */
export interface Visit {
  userAgent: string;
  /** The request said that it only fetches ahead (Sec-Purpose, Purpose, X-Moz), or asked for the head alone. */
  prefetch: boolean;
  /** Since the recipient's server took the message; undefined = it has not, as far as we know. */
  sinceDeliveredMs: number | undefined;
}

export type MachineReason = '' | 'prefetch' | 'scanner' | 'apple_privacy' | 'too_soon' | 'image_proxy';

// Nobody reads that fast; scanners look at once.
const tooSoonMs = 3_000;
// Apple's Mail Privacy Protection fetches everything soon after arrival and says this and nothing more.
const appleMailPrivacy = /^Mozilla\/5\.0$/;
// What Gmail says where it fetches ahead of the reader.
const gmailPrefetch = /Chrome\/42\.0\.2311\.135 Safari\/537\.36 Edge\/12\.246 Mozilla\/5\.0$/;
// Proxies of mailbox providers that fetch when the reader opens the message, and hide who it is.
const imageProxy = /GoogleImageProxy|YahooMailProxy|ggpht\.com/i;
const scanner =
  /bot\b|crawl|spider|scanner|barracuda|proofpoint|mimecast|symantec|messagelabs|fireeye|safelinks|headless|phantomjs|python|curl|wget|libwww|go-http|okhttp|java\/|node-fetch|axios|undici/i;

export function judge({ userAgent, prefetch, sinceDeliveredMs }: Visit): { machine: boolean; reason: MachineReason } {
  if (prefetch || gmailPrefetch.test(userAgent)) return { machine: true, reason: 'prefetch' };
  if (appleMailPrivacy.test(userAgent)) return { machine: true, reason: 'apple_privacy' };
  if (userAgent === '' || scanner.test(userAgent)) return { machine: true, reason: 'scanner' };
  if (sinceDeliveredMs === undefined || sinceDeliveredMs < tooSoonMs) return { machine: true, reason: 'too_soon' };
  return { machine: false, reason: imageProxy.test(userAgent) ? 'image_proxy' : '' };
}
