// What a callback's secret is sealed for: in another callback's row it doesn't open.

export function sealedSecretOf(callbackId: string): string {
  return `callback-secret:${callbackId}`;
}
