// The limits of a key beside its scope, and whether one key's lie within another's: a key that may be used from one network, for one
// domain, until tonight, would be limited by nothing if it could make a key that is not.

import type { KeyLimits } from '@maildoot/proto/maildoot/auth/v1/auth';
import { parseCidr } from '@maildoot/runtime/networks';

export interface Limits {
  allowedIps: readonly string[];
  allowedDomains: readonly string[];
  /** null or undefined = never. */
  expiresAt: Date | null | undefined;
  /** 0 = any number. */
  dailyLimit: number;
  test: boolean;
}

/** `own` undefined or empty limits nothing. Both sides are in the spelling that keys are kept in. */
export function isWithin(wanted: Limits, own: KeyLimits | undefined): boolean {
  if (own === undefined) return true;
  return (
    (own.allowedIps.length === 0 || isCovered(wanted.allowedIps, own.allowedIps, containsNetwork)) &&
    (own.allowedDomains.length === 0 || isCovered(wanted.allowedDomains, own.allowedDomains, (outer, inner) => outer === inner)) &&
    (own.expiresAt === undefined || (wanted.expiresAt != null && wanted.expiresAt <= own.expiresAt)) &&
    (own.dailyLimit === 0 || (wanted.dailyLimit > 0 && wanted.dailyLimit <= own.dailyLimit)) &&
    (!own.test || wanted.test)
  );
}

/** An empty list means "any", so it lies within no list that is not. */
function isCovered(inner: readonly string[], outer: readonly string[], contains: (outer: string, inner: string) => boolean): boolean {
  return inner.length > 0 && inner.every((one) => outer.some((other) => contains(other, one)));
}

function containsNetwork(outer: string, inner: string): boolean {
  const [wide, narrow] = [parseCidr(outer), parseCidr(inner)];
  if (!wide || !narrow || wide.address.kind() !== narrow.address.kind() || narrow.prefix < wide.prefix) return false;
  const [wideBytes, narrowBytes] = [wide.address.toByteArray(), narrow.address.toByteArray()];
  return wideBytes.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, wide.prefix - index * 8));
    const mask = (0xff << (8 - bits)) & 0xff;
    return (byte & mask) === ((narrowBytes[index] ?? 0) & mask);
  });
}
