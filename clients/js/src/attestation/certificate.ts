// One X.509 certificate (RFC 5280), restricted to the profile of Nitro's certificates.

import { type Bytes, equal, fromUtf8 } from "../bytes.js";
import { POINT_LENGTH } from "../codes.js";
import { BIT_STRING, CertificateFault, DerReader, OCTET_STRING, OID, SEQUENCE, SET, signatureValue } from "./der.js";

/** A certificate of a chain. */
export interface Certificate {
  /** The whole certificate as DER. */
  readonly der: Uint8Array;
  /** The serial number: big-endian, two's complement. */
  readonly serial: Uint8Array;
  /** The subject, one `type=value` for each attribute, in order. For display, not for parsing. */
  readonly subject: string;
  /** The last commonName of the subject. A leaf's is `<module_id>.<region>.aws`. */
  readonly commonName: string | undefined;
  /** The start of the validity, in Unix milliseconds. */
  readonly notBeforeMs: number;
  /** The end of the validity, in Unix milliseconds, inclusive. */
  readonly notAfterMs: number;
}

/** A certificate with the fields that the chain's checks need. */
export interface ParsedCertificate extends Certificate {
  /** The bytes that the issuer signed: tbsCertificate, header included. */
  readonly tbs: Uint8Array;
  /** r ‖ s. */
  readonly signature: Bytes;
  /** Encoded names, which are compared byte for byte. That is stricter than RFC 5280 §7.1. */
  readonly issuerName: Uint8Array;
  readonly subjectName: Uint8Array;
  /** The uncompressed point, which may be off the curve. */
  readonly point: Uint8Array;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  /** The first byte of keyUsage. */
  readonly keyUsage: number;
  /** The encoded OIDs of extendedKeyUsage. */
  readonly extendedKeyUsage: Uint8Array | undefined;
}

export const DIGITAL_SIGNATURE = 0x80;
export const KEY_CERT_SIGN = 0x04;

const UTF8_STRING = 0x0c;
const PRINTABLE_STRING = 0x13;
const IA5_STRING = 0x16;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;

/** AlgorithmIdentifier's contents: ecdsa-with-SHA384; id-ecPublicKey on secp384r1. */
const ECDSA_SHA384 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
const ECDSA_P384 = Uint8Array.of(
  ...[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
  ...[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
);
/** Nitro's certificates have two to four. */
const MAX_EXTENSIONS = 16;
/** Arcs below id-ce (2.5.29). */
const BASIC_CONSTRAINTS = 0x13;
const KEY_USAGE = 0x0f;
const SUBJECT_ALT_NAME = 0x11;
const NAME_CONSTRAINTS = 0x1e;
const CRL_DISTRIBUTION_POINTS = 0x1f;
const EXTENDED_KEY_USAGE = 0x25;
/** id-kp-clientAuth. */
const CLIENT_AUTH = Uint8Array.of(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02);

/**
 * Reads a certificate.
 *
 * @throws {CertificateFault}
 */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  const what = "the certificate";
  const outer = new DerReader(der, what);
  const certificate = outer.nested(SEQUENCE, what);
  outer.finish();

  const signed = certificate.whole(SEQUENCE);
  const tbs = new DerReader(signed, "tbsCertificate").nested(SEQUENCE, "tbsCertificate");
  signatureAlgorithm(certificate);
  const signature = signatureValue(certificate.bitString());
  certificate.finish();

  version(tbs);
  const serial = tbs.integer();
  signatureAlgorithm(tbs);
  const issuer = nameOf(tbs, "issuer");
  const [notBeforeMs, notAfterMs] = validity(tbs);
  const subject = nameOf(tbs, "subject");
  const point = publicKey(tbs);
  // The obsolete unique identifiers ([1], [2]) are refused here: they are not [3].
  const extensions = tbs.isEmpty ? NO_EXTENSIONS : extensionsOf(tbs);
  tbs.finish();
  return {
    der,
    tbs: signed,
    signature,
    serial,
    issuerName: issuer.der,
    subjectName: subject.der,
    subject: subject.attributes.map(([id, value]) => `${label(id)}=${shown(value)}`).join(", "),
    commonName: subject.attributes.findLast(([id]) => label(id) === "CN")?.[1],
    notBeforeMs,
    notAfterMs,
    point,
    ...extensions,
  };
}

/** Whether a certificate with these key purposes is allowed in a chain. Nitro's have none. */
export function allowsClientAuth(extendedKeyUsage: Uint8Array | undefined): boolean {
  if (extendedKeyUsage === undefined) return true;
  try {
    const purposes = new DerReader(extendedKeyUsage, "extendedKeyUsage");
    while (!purposes.isEmpty) if (equal(purposes.expect(OID), CLIENT_AUTH)) return true;
  } catch {
    // Not a list of OIDs: refused.
  }
  return false;
}

function version(tbs: DerReader): void {
  const refused = () => new CertificateFault("certificate_version", "not a version 3 certificate");
  // Version 1 omits the field.
  if (tbs.peekTag !== CONTEXT_0) throw refused();
  const tagged = tbs.nested(CONTEXT_0, "version");
  const value = tagged.integer();
  if (value.length !== 1 || value[0] !== 2) throw refused();
  tagged.finish();
}

function signatureAlgorithm(reader: DerReader): void {
  if (!equal(reader.expect(SEQUENCE), ECDSA_SHA384)) {
    throw new CertificateFault("certificate_signature_algorithm", "the signature algorithm must be ecdsa-with-SHA384");
  }
}

function validity(tbs: DerReader): [notBeforeMs: number, notAfterMs: number] {
  const reader = tbs.nested(SEQUENCE, "validity");
  const notBeforeMs = timeOf(reader);
  const notAfterMs = timeOf(reader);
  reader.finish();
  if (notAfterMs < notBeforeMs) {
    throw new CertificateFault("certificate_validity_inverted", "notAfter is before notBefore");
  }
  return [notBeforeMs, notAfterMs];
}

/** UTCTime until 2049, GeneralizedTime from 2050, both to the second and in UTC (RFC 5280 §4.1.2.5). */
function timeOf(reader: DerReader): number {
  const [tag, value] = reader.element();
  const digits = /^(?:(\d{2})|(\d{4}))(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(String.fromCharCode(...value));
  if (digits === null) return reader.malformed();
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = digits.slice(3).map(Number);
  let year: number;
  if (tag === UTC_TIME && digits[1] !== undefined) {
    // Two digits: 50 to 99 are 1950 to 1999.
    year = Number(digits[1]) + (Number(digits[1]) < 50 ? 2000 : 1900);
  } else if (tag === GENERALIZED_TIME && Number(digits[2]) >= 2050) {
    year = Number(digits[2]);
  } else {
    return reader.malformed();
  }
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  // Date carries an overflow into the next field, so compare: 30 February would be a day in March.
  const isReal = month >= 1 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!isReal || hour > 23 || minute > 59 || second > 59 || ms < 0) return reader.malformed();
  return ms;
}

function publicKey(tbs: DerReader): Uint8Array {
  const refused = () =>
    new CertificateFault("certificate_key_not_p384", "the key must be an uncompressed point on the named curve P-384");
  const spki = tbs.nested(SEQUENCE, "subjectPublicKeyInfo");
  if (!equal(spki.expect(SEQUENCE), ECDSA_P384)) throw refused();
  const key = spki.bitString();
  spki.finish();
  if (key.length !== POINT_LENGTH || key[0] !== 4) throw refused();
  return key;
}

type Attribute = readonly [id: Uint8Array, value: string | undefined];

/**
 * A name that is not empty, and its attributes: type, and value if it is a string of a common kind (RFC 5280
 * §4.1.2.4).
 */
function nameOf(tbs: DerReader, part: string): { der: Uint8Array; attributes: Attribute[] } {
  const sets = tbs.nested(SEQUENCE, part);
  const der = sets.rest;
  if (sets.isEmpty) sets.malformed();
  const attributes: Attribute[] = [];
  while (!sets.isEmpty) {
    const set = sets.nested(SET, part);
    // A set has at least one attribute (RFC 5280 §4.1.2.4), so read the first without asking.
    do {
      const attribute = set.nested(SEQUENCE, part);
      const id = attribute.expect(OID);
      const [tag, value] = attribute.element();
      attribute.finish();
      let text: string | undefined;
      if (tag === UTF8_STRING || tag === PRINTABLE_STRING || tag === IA5_STRING) {
        text = fromUtf8(value);
        if (text === undefined || (tag !== UTF8_STRING && value.some((byte) => byte > 0x7f))) attribute.malformed();
      }
      attributes.push([id, text]);
    } while (!set.isEmpty);
  }
  return { der, attributes };
}

function label(id: Uint8Array): string {
  const names: Readonly<Record<number, string>> = { 3: "CN", 6: "C", 7: "L", 8: "ST", 10: "O", 11: "OU" };
  return (id.length === 3 && id[0] === 0x55 && id[1] === 0x04 && names[id[2] ?? 0]) || "?";
}

/** Foreign text for people, with control and white-space characters escaped. */
function shown(text: string | undefined): string {
  return (text ?? "?").replace(/[\p{C}\p{Z}]/gu, (c) => (c === " " ? c : `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`));
}

type Extensions = Pick<ParsedCertificate, "isCa" | "pathLength" | "keyUsage" | "extendedKeyUsage">;

const NO_EXTENSIONS: Extensions = { isCa: false, pathLength: undefined, keyUsage: 0, extendedKeyUsage: undefined };

function extensionsOf(tbs: DerReader): Extensions {
  const part = "extensions";
  const tagged = tbs.nested(CONTEXT_3, part);
  const list = tagged.nested(SEQUENCE, part);
  tagged.finish();
  if (list.isEmpty) list.malformed();
  let found = NO_EXTENSIONS;
  const seen: Uint8Array[] = [];
  while (!list.isEmpty) {
    const extension = list.nested(SEQUENCE, part);
    const id = extension.expect(OID);
    const isCritical = extension.optionalTrue();
    const value = extension.expect(OCTET_STRING);
    extension.finish();
    if (seen.some((other) => equal(other, id))) {
      throw new CertificateFault("certificate_extension_duplicate", "an extension appears twice");
    }
    if (seen.length >= MAX_EXTENSIONS) list.malformed();
    seen.push(id);
    const arc = id.length === 3 && id[0] === 0x55 && id[1] === 0x1d ? id[2] : undefined;
    if (arc === BASIC_CONSTRAINTS) {
      found = { ...found, ...basicConstraints(value) };
    } else if (arc === KEY_USAGE) {
      found = { ...found, keyUsage: keyUsageOf(value) };
    } else if (isCritical) {
      throw new CertificateFault("certificate_critical_extension", "unknown critical extension");
    } else if (arc === NAME_CONSTRAINTS) {
      // Must be critical (RFC 5280 §4.2.1.10). Otherwise a verifier could ignore it.
      list.malformed();
    } else if (arc === SUBJECT_ALT_NAME || arc === CRL_DISTRIBUTION_POINTS || arc === EXTENDED_KEY_USAGE) {
      const reader = new DerReader(value, part);
      const contents = reader.expect(SEQUENCE);
      reader.finish();
      if (arc === EXTENDED_KEY_USAGE) found = { ...found, extendedKeyUsage: contents };
    }
  }
  return found;
}

function basicConstraints(value: Uint8Array): Pick<Extensions, "isCa" | "pathLength"> {
  const part = "basicConstraints";
  const outer = new DerReader(value, part);
  const constraints = outer.nested(SEQUENCE, part);
  outer.finish();
  const isCa = constraints.optionalTrue();
  let pathLength: number | undefined;
  // Only a CA can have a path length (RFC 5280 §4.2.1.9). Elsewhere it is a trailing byte.
  if (isCa && !constraints.isEmpty) {
    const length = constraints.unsigned();
    if (length.length !== 1) constraints.malformed();
    pathLength = length[0];
  }
  constraints.finish();
  return { isCa, pathLength };
}

/** Named bits: DER omits trailing zeros, so the last bit present is set (X.690 §11.2.2). */
function keyUsageOf(value: Uint8Array): number {
  const reader = new DerReader(value, "keyUsage");
  const bits = reader.expect(BIT_STRING);
  const [unused = 8, byte = 0, ninth] = bits;
  const isShortest = byte !== 0 && unused < 8 && (byte & -byte) === 1 << unused;
  // decipherOnly is the ninth bit.
  const isRight = bits.length === 2 ? isShortest : bits.length === 3 && unused === 7 && ninth === 0x80;
  reader.finish();
  return isRight ? byte : reader.malformed();
}
