const { Ok2cryError, RecipientKey, toBase64Url } = require("@ok2cry/client");
const { TrustAnchor, Verifier } = require("@ok2cry/client/attestation");

new Verifier(TrustAnchor.awsNitro());
RecipientKey.generate().then(async (key) => {
  // `import` and `require` get the same classes.
  const imported = await import("@ok2cry/client");
  if (imported.Ok2cryError !== Ok2cryError) throw new Error("there are two copies");
  console.log(`recipient: ${toBase64Url(key.publicKey)}`);
});
