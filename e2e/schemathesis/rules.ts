// What the run expects otherwise than Schemathesis does by itself, each with its reason; all of it is printed at the start of a run.

/** What a door refuses although the schema takes it, by the code of the issue: rules about more than the form of one value. */
export const rules: readonly (readonly [code: string, why: string])[] = [
  ['content_required', 'one of html and text, or a template'],
  ['not_with_template', 'what a template says, the message doesn’t'],
  ['only_with_template', 'goes with a template alone'],
  ['not_in_a_batch', 'a dry run looks at one message'],
  ['too_many', 'recipients of to, cc and bcc together; one filter of statistics at a time'],
  ['invalid_value group_by', 'what is counted of one value is counted by day'],
  ['too_many_issues', 'says how many issues are left out'],
  ['too_large', 'metadata and variables, all of it together'],
  ['too_far_ahead', 'depends on the present'],
  ['not_in_future', 'depends on the present'],
  ['not_in_past', 'depends on the present'],
  ['not_after_since', 'compares two fields'],
  ['invalid_cursor', 'only what a list has given'],
  ['invalid_day', 'a calendar, and how far back it goes'],
  ['unknown_event', 'names and prefixes of names'],
  ['invalid_cidr', 'networks in two notations'],
  ['invalid_alias', 'an alias never begins like an id'],
  ['invalid_email', 'an address is more than a pattern says'],
  ['invalid_name', 'display names, and names that objects reserve'],
  ['invalid_url', 'URLs as the WHATWG reads them'],
  ['invalid_base64', 'base64 with its padding'],
  ['invalid_filename', '. and ..'],
  ['invalid_content_type', 'RFC 2045, multipart left out'],
  ['invalid_metadata_key', 'keys of an object'],
  ['invalid_header_name', 'keys of an object'],
  ['forbidden_header', 'keys of an object: names with a meaning of their own'],
  ['duplicate_header', 'keys of an object that differ in case alone'],
  ['invalid_position', 'numbers beyond 2^53'],
  ['unknown_host', 'what the DNS has'],
  ['unknown_template', 'what templates there are'],
  ['unknown_version', 'what versions a template has, and whether one is published'],
  ['too_short new_password', 'characters are counted when accents are one with their letters (NFC)'],
  ['too_long new_password', 'counted in bytes'],
  ['too_easy new_password', 'few different characters, or the address itself'],
  ['control_character', 'NUL and line breaks, where they may not be'],
];

/** Of Schemathesis's checks, the operations where one doesn't fit what the operation is. */
export const unfit: readonly { readonly operation: string; readonly check: string; readonly why: string }[] = [
  { operation: 'cancelMessage', check: 'use_after_free', why: 'DELETE of a message cancels it; the message stays to be read' },
];
