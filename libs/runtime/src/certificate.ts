/**
 * A self-signed certificate made on the spot (X.509 v3, RFC 5280; ECDSA P-256), so that no private key lies on a disk or in the repository:
 * for delivery's built-in inbox, and for servers of tests, whose names and dates can be what a test wants. Node signs but makes no
 * certificates, and a library for this one would be larger than the few DER values that are written here.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

export interface CertificateOptions {
  /** Host names and addresses it is good for; the first is the subject. Default localhost and 127.0.0.1. */
  names?: string[];
  /** Default a day ago. */
  notBefore?: Date;
  /** Default ten years ahead. */
  notAfter?: Date;
}

/** PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

const dayMs = 86_400_000;

export function createCertificate(options: CertificateOptions = {}): Certificate {
  const names = options.names ?? ['localhost', '127.0.0.1'];
  const notBefore = options.notBefore ?? new Date(Date.now() - dayMs);
  const notAfter = options.notAfter ?? new Date(Date.now() + 3650 * dayMs);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const commonName = sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(names[0] ?? 'localhost')));
  const subject = sequence(der(0x31, commonName));
  const alternativeNames = sequence(...names.map((name) => (isIP(name) === 4 ? der(0x87, ipv4(name)) : der(0x82, Buffer.from(name)))));
  const extensions = sequence(
    sequence(oid(0x55, 0x1d, 0x11), der(0x04, alternativeNames)),
    // basicConstraints CA:TRUE, so that whoever wants can trust the certificate itself.
    sequence(oid(0x55, 0x1d, 0x13), der(0x01, Buffer.from([0xff])), der(0x04, sequence(der(0x01, Buffer.from([0xff]))))),
  );
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = sequence(toBeSigned, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}

// Tag, length, value: X.690 section 8.1.
function der(tag: number, value: Buffer): Buffer {
  if (value.length < 0x80) return Buffer.concat([Buffer.from([tag, value.length]), value]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  const significant = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | significant.length]), significant, value]);
}

function sequence(...values: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(values));
}

function oid(...bytes: number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

// GeneralizedTime for all dates: RFC 5280 wants UTCTime before 2050, and verifiers take both.
function time(date: Date): Buffer {
  return der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`));
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}
