// PEM files, and which command converts a file of another format. `docs/javascript.md` has the rules.

import { type Bytes, fromBase64, fromHex, hasAt } from "./bytes.js";

/** Ignored beside a key: `openssl ecparam -genkey` writes it before the key. */
const PARAMETERS = "EC PARAMETERS";

/**
 * The DER of the only block in a PEM text. Ignores text around the block, white space in it, and a byte order
 * mark.
 *
 * @param label The label that the block must have.
 * @param refused Refuses, with what was found and the command that converts it.
 * @throws {TypeError} if `pem` is not a string.
 */
export function derOfPem(pem: string, label: string, refused: (why: string) => never): Bytes {
  if (typeof pem !== "string") throw new TypeError("PEM must be a string");
  const all = blocksOf(pem);
  if (all === undefined) return refused("a PEM block has no end");
  const keys = all.filter((block) => block.label !== PARAMETERS);
  const [block, ...others] = keys.length > 0 ? keys : all;
  if (block === undefined) return refused(withoutBlock(pem, label));
  if (others.length > 0) refused(`${others.length + 1} PEM blocks, expected one`);
  if (block.label !== label) refused(otherBlock(block, label));
  return fromBase64(block.body) ?? refused("the block is not base64");
}

interface Block {
  readonly label: string;
  /** Without white space. */
  readonly body: string;
}

/** All blocks; undefined if one has no end. */
function blocksOf(pem: string): Block[] | undefined {
  const blocks: Block[] = [];
  const begin = /-----BEGIN ([A-Z0-9 ]{1,64})-----/g;
  for (let match = begin.exec(pem); match !== null; match = begin.exec(pem)) {
    const end = `-----END ${match[1]}-----`;
    const at = pem.indexOf(end, begin.lastIndex);
    if (at < 0) return undefined;
    blocks.push({ label: match[1] ?? "", body: pem.slice(begin.lastIndex, at).replace(/[ \t\r\n]/g, "") });
    begin.lastIndex = at + end.length;
  }
  return blocks;
}

const CONVERT = "openssl pkey -in FILE -out NEW";

/** The message for a block with another label. */
function otherBlock({ label, body }: Block, expected: string): string {
  const isPrivate = label.endsWith("PRIVATE KEY");
  if (expected === "PUBLIC KEY") {
    if (label === "CERTIFICATE") return "this is a certificate: `openssl x509 -in FILE -noout -pubkey` prints its key";
    if (isPrivate) return "this is a private key: `openssl pkey -in FILE -pubout` prints its public half";
  } else if (expected === "PRIVATE KEY") {
    if (`${label}${body}`.includes("ENCRYPTED")) return `this key is encrypted: \`${CONVERT}\` asks for its passphrase`;
    if (label === "EC PRIVATE KEY") return `this is SEC 1 (${label}): \`${CONVERT}\` makes PKCS #8 of it`;
    if (label === "PUBLIC KEY" || label === "CERTIFICATE") return `this (${label}) is public: expected the private key`;
  }
  return `PEM block "${label}", expected "${expected}"`;
}

/** The message for a text without a block. */
function withoutBlock(text: string, expected: string): string {
  const isPrivate = expected === "PRIVATE KEY";
  if (/^\s*\{[\s\S]*"kty"/.test(text)) {
    return `this is a JWK: ${isPrivate ? "crypto.subtle.importKey and RecipientKey.fromKeyPair accept it" : "publicKeyFromText accepts it"}`;
  }
  const isBase64 = /^[A-Za-z0-9+/=\s]{64,}$/.test(text);
  if (!isBase64 && !/^0[^\n -~]/.test(text)) return "this is not PEM";
  const found = isBase64 ? "base64 without its PEM lines: `openssl base64 -d -A" : "DER: `cat";
  const openssl = expected === "CERTIFICATE" ? "x509" : `pkey${isPrivate ? "" : " -pubin"}`;
  return `this is ${found} <FILE | openssl ${openssl} -inform DER\` prints PEM`;
}

/**
 * The message for a key's DER in another encoding. Reads the algorithm alone, which comes before everything
 * secret.
 */
export function otherKey(der: Uint8Array, isPrivate: boolean): string {
  const has = (oid: string) => der.subarray(0, 20).some((_, at) => hasAt(der, at, fromHex(oid) ?? der));
  const found = ALGORITHMS.find(([oid]) => has(oid));
  if (found !== undefined) {
    const advice = isPrivate ? "make one with `ok2cry recipient new FILE`" : "expected a key on P-384";
    return `this is a key of ${found[1]}, which cannot be converted: ${advice}`;
  }
  // id-ecPublicKey, on P-384 or with explicit parameters.
  if (!has("06072a8648ce3d0201")) return "this is not a P-384 key";
  const command = isPrivate
    ? "openssl ec -in FILE -conv_form uncompressed -param_enc named_curve | openssl pkcs8 -topk8 -nocrypt -out NEW"
    : "openssl pkey -pubin -in FILE -ec_conv_form uncompressed -ec_param_enc named_curve -out NEW";
  return `expected a named curve and the key's own public half, uncompressed: \`${command}\` writes that`;
}

/** OIDs in hexadecimal. */
const ALGORITHMS = [
  ["06082a8648ce3d030107", "P-256"],
  ["06052b81040023", "P-521"],
  ["06052b8104000a", "secp256k1"],
  ["06092a864886f70d010101", "RSA"],
  ["06032b6570", "Ed25519"],
  ["06032b656e", "X25519"],
] as const;
