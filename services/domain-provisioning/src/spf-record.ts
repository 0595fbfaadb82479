// SPF (RFC 7208): the record we suggest, and whether a published one lets our hosts send.

export function spfRecordValue(mailHostname: string): string {
  return `v=spf1 a:${mailHostname} ~all`;
}

/** Section 4.5: the version is `v=spf1` followed by a space or the end. */
export function isSpfRecord(value: string): boolean {
  return /^v=spf1(?: |$)/i.test(value);
}

/**
 * undefined when the record passes mail from the addresses of `mailHostname`, otherwise what is missing. Only the mechanism that we
 * ask for counts: whether an `include:` leads to the same addresses can't be told without following what may change tomorrow.
 */
export function spfRecordProblem(value: string, mailHostname: string): string | undefined {
  for (const term of value.split(' ').slice(1)) {
    const mechanism = /^([+\-~?]?)(a:.+|all)$/i.exec(term);
    if (mechanism === null) continue;
    const name = mechanism[2]?.toLowerCase().replace(/\.$/, '');
    // Section 5.1: whatever stands behind `all` is never reached.
    if (name === 'all') break;
    if (name !== `a:${mailHostname.toLowerCase()}`) continue;
    if (mechanism[1] === '' || mechanism[1] === '+') return undefined;
    return `Your record has a:${mailHostname} with the qualifier ${mechanism[1]}; leave the qualifier out.`;
  }
  return `Your record doesn't name our hosts: put a:${mailHostname} before its "all".`;
}
