// The root certificate that documents are verified under.

import { type Bytes, copy, equal, fromBase64 } from "../bytes.js";
import { refuse } from "../error.js";
import { derOfPem } from "../pem.js";
import { sha256 } from "../webcrypto.js";
import { DIGITAL_SIGNATURE, KEY_CERT_SIGN, type ParsedCertificate, parseCertificate } from "./certificate.js";
import { CertificateFault } from "./der.js";
import { MAX_CERTIFICATE_LENGTH } from "./document.js";

/** Keeps the constructor private to this module. */
const ANCHOR: unique symbol = /* @__PURE__ */ Symbol("TrustAnchor");

/** A root certificate. Production uses {@link TrustAnchor.awsNitro}; mocks have others. */
export class TrustAnchor {
  readonly #der: Bytes;

  /** Internal: use the static methods. */
  constructor(anchor: typeof ANCHOR, der: Bytes) {
    if (anchor !== ANCHOR) throw new TypeError("a TrustAnchor comes from its static methods");
    this.#der = der;
    Object.freeze(this);
  }

  /** The certificate as DER: a copy. */
  get der(): Bytes {
    return copy(this.#der);
  }

  /**
   * AWS's root for Nitro Enclaves, "aws.nitro-enclaves", valid until 2049. Its SHA-256 is
   * `641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b`.
   */
  static awsNitro(): TrustAnchor {
    return TrustAnchor.fromDer(fromBase64(AWS_NITRO_ROOT_G1) ?? new Uint8Array());
  }

  /**
   * Reads DER of 1 to 1,024 bytes: a certificate like Nitro's root, self-issued, a CA that signs
   * certificates.
   *
   * @throws {Ok2cryError} `anchor_length`, `anchor_not_root`, or the rule that the certificate breaks.
   */
  static fromDer(der: Uint8Array): TrustAnchor {
    const bytes = copy(der, "a trust anchor");
    if (bytes.length === 0 || bytes.length > MAX_CERTIFICATE_LENGTH) {
      refuse("anchor_length", `trust anchor: ${bytes.length} bytes, expected 1 to ${MAX_CERTIFICATE_LENGTH}`);
    }
    const certificate = parseAt("trust anchor", bytes);
    if (!equal(certificate.issuerName, certificate.subjectName)) {
      refuse("anchor_not_root", "trust anchor: expected a root, whose issuer is its subject");
    }
    checkIssuer("trust anchor", certificate);
    return new TrustAnchor(ANCHOR, bytes);
  }

  /**
   * Reads PEM of exactly one certificate. Text around the block is ignored.
   *
   * @throws {Ok2cryError} `anchor_pem`, or as {@link TrustAnchor.fromDer}.
   */
  static fromPem(pem: string): TrustAnchor {
    const refused = (why: string) => refuse("anchor_pem", `trust anchor: expected PEM of one certificate: ${why}`);
    return TrustAnchor.fromDer(derOfPem(pem, "CERTIFICATE", refused));
  }

  /** SHA-256 of the certificate, 32 bytes. */
  fingerprint(): Promise<Bytes> {
    return sha256(this.#der);
  }
}

/** Reads a certificate. Errors name its place, `at`. */
export function parseAt(at: string, der: Uint8Array): ParsedCertificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof CertificateFault) refuse(error.code, `${at}: ${error.message}`);
    throw error;
  }
}

/** Refuses a certificate that may not issue others. */
export function checkIssuer(at: string, issuer: ParsedCertificate): void {
  if (!issuer.isCa) refuse("issuer_not_ca", `${at}: basicConstraints must say that an issuer is a CA`);
  if (!(issuer.keyUsage & KEY_CERT_SIGN)) {
    refuse("issuer_not_key_cert_sign", `${at}: keyUsage of an issuer must hold keyCertSign`);
  }
}

/** Refuses a leaf that may issue, or may not sign. */
export function checkLeaf(at: string, leaf: ParsedCertificate): void {
  if (leaf.isCa) refuse("leaf_is_ca", `${at}: basicConstraints must not say that the leaf is a CA`);
  if (!(leaf.keyUsage & DIGITAL_SIGNATURE)) {
    refuse("leaf_not_digital_signature", `${at}: keyUsage of the leaf must hold digitalSignature`);
  }
  if (leaf.keyUsage & KEY_CERT_SIGN) {
    refuse("leaf_key_cert_sign", `${at}: keyUsage of the leaf must not hold keyCertSign`);
  }
}

const AWS_NITRO_ROOT_G1 =
  "MIICETCCAZagAwIBAgIRAPkxdWgbkK/hHUbMtOTn+FYwCgYIKoZIzj0EAwMwSTELMAkGA1UEBhMCVVMxDzANBgNVBAoMBkFtYXpvbjEMMAoGA1UECwwD" +
  "QVdTMRswGQYDVQQDDBJhd3Mubml0cm8tZW5jbGF2ZXMwHhcNMTkxMDI4MTMyODA1WhcNNDkxMDI4MTQyODA1WjBJMQswCQYDVQQGEwJVUzEPMA0GA1UE" +
  "CgwGQW1hem9uMQwwCgYDVQQLDANBV1MxGzAZBgNVBAMMEmF3cy5uaXRyby1lbmNsYXZlczB2MBAGByqGSM49AgEGBSuBBAAiA2IABPwCVOumCMHzaHDi" +
  "mtqQvkY4MpJzbolL//Zy2YlES1BR5TSksfbb48C8WBoyt7F2Bw7eEtaaP+ohG2bnUs990d0JX28TcPQXCEPZ3BABIeTPYwEoCWZEh8l5YoQwTcU/9KNC" +
  "MEAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUkCW1DdkFR+eWw5b6cp3PmanfS5YwDgYDVR0PAQH/BAQDAgGGMAoGCCqGSM49BAMDA2kAMGYCMQCj" +
  "fy+Rocm9Xue4YnwWmNJVA44fA0P5W2OpYow9OYCVRaEevL8uO1XYru5xtMPWrfMCMQCi85sWBbJwKKXdS6BptQFuZbT73o/gBh1qUxl/nNr12UO8Yfwr" +
  "6wPLb+6NIwLz3/Y=";
