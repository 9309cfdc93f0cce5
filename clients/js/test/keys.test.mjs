// Key and trust files: one encoding is read, and any other is named with the command that converts it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as lib from "../dist/index.js";

let folder;
let file;
let der;
let pem;
let point;

const openssl = (input, ...flags) =>
  execFileSync("openssl", flags, { input, encoding: "utf8", stdio: ["pipe", "pipe", "ignore"] });
const toPem = (label, bytes) =>
  `-----BEGIN ${label}-----\n${Buffer.from(bytes)
    .toString("base64")
    .replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;
const spki = (key) => createPublicKey(key).export({ type: "spki", format: "pem" });

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ok2cry-keys-"));
  file = (name, text) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const pair = generateKeyPairSync("ec", { namedCurve: "P-384" });
  pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
  der = pair.privateKey.export({ type: "pkcs8", format: "der" });
  point = der.subarray(-97);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const invalid = (code, message) => ({ name: "Ok2cryError", code, message });

test("a private key is read from any PEM wrapping", async () => {
  const good = [
    pem,
    pem.replace(/\n/g, "\r\n"),
    `\ufeff${pem}`,
    `Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n${pem}trailing words`,
    `-----BEGIN PRIVATE KEY-----\n${der.toString("base64")}\n-----END PRIVATE KEY-----\n`,
    pem.replace(/\n/g, ""),
    pem.replace(/\n/g, " \t\n\n"),
    `-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n${pem}`,
  ];
  for (const text of good) {
    const key = await lib.RecipientKey.fromPem(text);
    assert.deepEqual(Buffer.from(key.publicKey), point, text);
    assert.equal(await key.toPem(), pem);
  }
});

/** The private key in other encodings and formats, as PEM. */
function otherFiles() {
  const path = file("key.pem", pem);
  const sec1 = createPrivateKey(pem).export({ type: "sec1", format: "pem" });
  const encrypted = openssl("", "pkcs8", "-topk8", "-in", path, "-passout", "pass:x");
  const encryptedSec1 = openssl("", "ec", "-in", path, "-aes256", "-passout", "pass:x");
  const certificate = openssl("", "req", "-x509", "-new", "-key", path, "-subj", "/CN=x", "-days", "1");
  const explicit = openssl("", "pkey", "-in", path, "-ec_param_enc", "explicit");
  const compressed = openssl("", "pkey", "-in", path, "-ec_conv_form", "compressed");
  // Without its public half, which RFC 5915 makes optional.
  const short = toPem(
    "PRIVATE KEY",
    Buffer.concat([
      Buffer.from("304e020100", "hex"),
      der.subarray(6, 24),
      Buffer.from("04373035020101", "hex"),
      der.subarray(33, 83),
    ]),
  );
  return { sec1, encrypted, encryptedSec1, explicit, compressed, short, certificate };
}

test("other private keys are named, with the command to convert", async () => {
  const { sec1, encrypted, encryptedSec1, explicit, compressed, short, certificate } = otherFiles();
  const converted =
    /`openssl ec -in FILE -conv_form uncompressed -param_enc named_curve \| openssl pkcs8 -topk8 -nocrypt -out NEW`/;
  const other = (namedCurve) => generateKeyPairSync("ec", { namedCurve }).privateKey.export({ type: "pkcs8", format: "pem" });
  const of = (kind, options) => generateKeyPairSync(kind, options).privateKey.export({ type: "pkcs8", format: "pem" });
  const strange = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({ type: "pkcs8", format: "der" });
  const mixed = Buffer.concat([der.subarray(0, 88), strange.subarray(88)]);
  const changed = (at, value) =>
    toPem(
      "PRIVATE KEY",
      der.map((byte, index) => (index === at ? value : byte)),
    );
  const scalar = (hex) => toPem("PRIVATE KEY", Buffer.concat([der.subarray(0, 35), Buffer.from(hex, "hex"), der.subarray(83)]));
  const order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
  const make = /cannot be converted: make one with `ok2cry recipient new FILE`/;
  const bad = [
    [sec1, /SEC 1.*`openssl pkey -in FILE -out NEW`/],
    [encrypted, /encrypted: `openssl pkey -in FILE -out NEW`/],
    [encryptedSec1, /encrypted: `openssl pkey -in FILE -out NEW`/],
    [explicit, converted],
    [compressed, converted],
    [short, converted],
    [changed(5, 1), converted],
    [changed(32, 0), converted],
    [toPem("PRIVATE KEY", [...der, 0]), converted],
    [scalar("0".repeat(96)), converted],
    [scalar(order), converted],
    [scalar("f".repeat(96)), converted],
    [changed(184, der[184] ^ 1), converted],
    [toPem("PRIVATE KEY", mixed), /its public half is another key's/],
    [other("P-256"), /P-256.*/],
    [other("P-256"), make],
    [other("P-521"), /P-521/],
    [other("secp256k1"), /secp256k1/],
    [of("rsa", { modulusLength: 1024 }), /RSA/],
    [of("ed25519"), /Ed25519/],
    [of("x25519"), /X25519/],
    [spki(pem), /PUBLIC KEY.*expected the private key/],
    [certificate, /CERTIFICATE.*expected the private key/],
    [toPem("RSA PRIVATE KEY", der), /"RSA PRIVATE KEY"/],
    [toPem("OPENSSH PRIVATE KEY", der), /"OPENSSH PRIVATE KEY"/],
    [pem + pem, /2 PEM blocks, expected one/],
    [pem + certificate, /2 PEM blocks/],
    [pem.replace(/-----END[\s\S]*/, ""), /no end/],
    [pem.replace("END PRIVATE", "END PUBLIC"), /no end/],
    [pem.replace("M", "!"), /base64/],
    [JSON.stringify(createPrivateKey(pem).export({ format: "jwk" })), /JWK.*importKey/],
    [der.toString("latin1"), /DER: `cat <FILE \| openssl pkey -inform DER`/],
    [der.toString("base64"), /base64 without its PEM lines: `openssl base64 -d -A <FILE \| openssl pkey -inform DER`/],
    ["", /not PEM/],
    ["x", /not PEM/],
    [Buffer.from(`\ufeff${pem}`, "utf16le").toString("latin1"), /not PEM/],
  ];
  for (const [text, message] of bad) {
    await assert.rejects(lib.RecipientKey.fromPem(text), invalid("private_key_invalid", message), `${message}: ${text}`);
  }
  assert.ok(!bad.some(([text]) => text === pem));
  for (const none of [undefined, null, der]) await assert.rejects(lib.RecipientKey.fromPem(none), TypeError);
});

test("the commands convert other private keys", () => {
  const { sec1, encrypted, explicit, compressed, short } = otherFiles();
  for (const text of [sec1, explicit, compressed, short]) {
    const flags = ["-conv_form", "uncompressed", "-param_enc", "named_curve"];
    const again = openssl("", "ec", "-in", file("other.pem", text), ...flags);
    assert.equal(openssl(again, "pkcs8", "-topk8", "-nocrypt"), pem);
  }
  assert.equal(openssl("", "pkey", "-in", file("sec1.pem", sec1)), pem);
  assert.equal(openssl("", "pkey", "-in", file("encrypted.pem", encrypted), "-passin", "pass:x"), pem);
});

test("a recipient's public key is read as base64url, PEM and JWK", async () => {
  const jwk = createPublicKey(pem).export({ format: "jwk" });
  const good = [
    lib.toBase64Url(point),
    `${lib.toBase64Url(point)}\n`,
    spki(pem),
    `\ufeff${spki(pem)}`,
    spki(pem).replace(/\n/g, ""),
    JSON.stringify(jwk),
    `\n${JSON.stringify({ ...jwk, kid: "1", use: "enc", key_ops: [] }, null, 2)}\n`,
  ];
  for (const text of good) assert.deepEqual(Buffer.from(await lib.publicKeyFromText(text)), point, text);
  assert.deepEqual(Buffer.from(await lib.publicKeyFromPem(spki(pem))), point);

  const certificate = openssl("", "req", "-x509", "-new", "-key", file("key.pem", pem), "-subj", "/CN=x", "-days", "1");
  const compressed = openssl(spki(pem), "pkey", "-pubin", "-ec_conv_form", "compressed");
  const explicit = openssl(spki(pem), "pkey", "-pubin", "-ec_param_enc", "explicit");
  const private384 = createPrivateKey(pem).export({ format: "jwk" });
  const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
  const converted = /`openssl pkey -pubin -in FILE -ec_conv_form uncompressed -ec_param_enc named_curve -out NEW`/;
  const bad = [
    [pem, /private key: `openssl pkey -in FILE -pubout`/],
    [certificate, /certificate: `openssl x509 -in FILE -noout -pubkey`/],
    [compressed, converted],
    [explicit, converted],
    [p256.export({ type: "spki", format: "pem" }), /P-256/],
    [JSON.stringify(private384), /private key/],
    [JSON.stringify(p256.export({ format: "jwk" })), /P-384/],
    [JSON.stringify({ ...jwk, x: `${jwk.x}AA` }), /48 bytes/],
    [JSON.stringify({ ...jwk, x: 1 }), /48 bytes/],
    [JSON.stringify({ ...jwk, y: jwk.x }), /not on the curve/],
    [JSON.stringify({ crv: "P-384", x: jwk.x, y: jwk.y }), /kty/],
    [`{"kty":"EC",${JSON.stringify(jwk).slice(1)}`, /twice/],
    [lib.toBase64Url(point.subarray(1)), /not on the curve/],
    ["", /not on the curve|not PEM/],
  ];
  for (const [text, message] of bad) {
    await assert.rejects(lib.publicKeyFromText(text), invalid("recipient_key_invalid", message), `${message}: ${text}`);
  }
  assert.equal(openssl("", "x509", "-in", file("c.pem", certificate), "-noout", "-pubkey"), spki(pem));
  for (const text of [compressed, explicit]) {
    assert.equal(openssl(text, "pkey", "-pubin", "-ec_conv_form", "uncompressed", "-ec_param_enc", "named_curve"), spki(pem));
  }
});

test("release keys and anchors are read by the same rules", async () => {
  const root = lib.TrustAnchor.awsNitro().der;
  const anchor = toPem("CERTIFICATE", root);
  const key = spki(pem);
  for (const wrap of [(text) => `\ufeff${text}`, (text) => `subject=x\n${text}\n`, (text) => text.replace(/\n/g, "")]) {
    assert.deepEqual(lib.TrustAnchor.fromPem(wrap(anchor)).der, root);
    await lib.ReleaseKey.fromPem(wrap(key));
  }
  const refusedAnchor = (text, message) => assert.throws(() => lib.TrustAnchor.fromPem(text), invalid("anchor_pem", message));
  refusedAnchor(anchor + anchor, /2 PEM blocks/);
  refusedAnchor(key, /"PUBLIC KEY", expected "CERTIFICATE"/);
  refusedAnchor(Buffer.from(root).toString("latin1"), /DER: `cat <FILE \| openssl x509 -inform DER`/);
  refusedAnchor("", /not PEM/);
  const refusedKey = (text, message) => assert.rejects(lib.ReleaseKey.fromPem(text), invalid("release_field_invalid", message));
  await refusedKey(pem, /private key: `openssl pkey -in FILE -pubout`/);
  await refusedKey(anchor, /certificate: `openssl x509 -in FILE -noout -pubkey`/);
  await refusedKey(openssl(key, "pkey", "-pubin", "-ec_conv_form", "compressed"), /uncompressed/);
});

// The verdicts of Rust's TrustAnchor::from_pem, whose rule both languages share.
test("a foreign PEM block beside a certificate is refused", () => {
  const root = lib.TrustAnchor.awsNitro().der;
  const anchor = toPem("CERTIFICATE", root);
  const block = (label) => toPem(label, Buffer.from([1, 2, 3]));
  for (const [text, isAccepted] of [
    [anchor, true],
    // OpenSSL's parameters, and what is not a block, are ignored.
    [block("EC PARAMETERS") + anchor, true],
    [anchor + block("EC PARAMETERS"), true],
    [anchor + block("lower case"), true],
    [`${anchor}-----BEGIN `, true],
    [anchor + block("PUBLIC KEY"), false],
    [block("PRIVATE KEY") + anchor, false],
    [anchor + block("X509 CRL"), false],
    [`${anchor}-----BEGIN X-----\nAAAA\n`, false],
    [anchor.replace(/CERTIFICATE/g, "TRUSTED CERTIFICATE"), false],
    [block("EC PARAMETERS"), false],
    [block("EC PARAMETERS").repeat(2), false],
  ]) {
    if (isAccepted) assert.deepEqual(lib.TrustAnchor.fromPem(text).der, root, text);
    else assert.throws(() => lib.TrustAnchor.fromPem(text), { code: "anchor_pem" }, text);
  }
});

test("measurement files are read strictly", () => {
  const hex = "ab".repeat(48);
  const read = (text) => [...lib.Measurements.fromNitroCliJson(text)].map(([index]) => index);
  const outer = (inner) => `{"EifVersion":4,"Measurements":${inner},"Metadata":{"x":[]}}`;
  for (const [text, indices] of [
    [outer(`{"HashAlgorithm":"Sha384 { ... }","PCR0":"${hex}","PCR1":"${hex.toUpperCase()}"}`), [0, 1]],
    [`\ufeff{"HashAlgorithm":"Sha384","PCR0":"${hex}","PCR31":"${hex}"}`, [0, 31]],
    [`{"PCR0":"${hex}"}`, [0]],
  ]) {
    assert.deepEqual(read(text), indices, text);
  }
  for (const text of [
    outer(`{"PCR0":"${hex}","PCR0":"${hex}"}`),
    outer(`{"PCR0":"${hex}","\\u0050CR0":"${hex}"}`),
    `{"Measurements":{"PCR0":"${hex}"},"Measurements":{"PCR0":"${hex}"}}`,
    ...["Sha384/256", "Sha384 {}", "SHA384", "sha384", "Sha256", "Sha512 { ... }"].map((algorithm) =>
      outer(`{"HashAlgorithm":"${algorithm}","PCR0":"${hex}"}`),
    ),
    outer(`{"PCR00":"${hex}"}`),
    outer(`{"PCR0":"${hex}","PCR01":"${hex}"}`),
    outer(`{"PCR0":"${hex} "}`),
    outer(`{"PCR0":"${hex}","other":"x"}`),
    outer(`{"PCR0":"${hex}","other":1}`),
    outer(`["${hex}"]`),
    outer("null"),
    outer(`"{}"`),
    "[]",
    "",
    `\ufeff\ufeff{"PCR0":"${hex}"}`,
  ]) {
    assert.throws(() => read(text), invalid("measurements_invalid", /./), text);
  }
  assert.throws(() => read(`{"PCR0":"${hex}","PCR32":"${hex}"}`), { code: "measurements_index" });
  assert.throws(() => read("{}"), { code: "measurements_empty" });
  assert.throws(() => read(`{"PCR1":"${hex}"}`), { code: "measurements_without_pcr0" });
});
