// Keys of the vectors. For Node and browsers.

/** A key pair of a scalar and a point, in hexadecimal. */
export async function keyPair(scalar, point) {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const url = (part) =>
    btoa(String.fromCharCode(...part))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=/g, "");
  const [x, y] = [bytes(point).slice(1, 49), bytes(point).slice(49)];
  const jwk = { kty: "EC", crv: "P-384", x: url(x), y: url(y) };
  const algorithm = { name: "ECDH", namedCurve: "P-384" };
  return {
    privateKey: await crypto.subtle.importKey("jwk", { ...jwk, d: url(bytes(scalar)) }, algorithm, true, ["deriveBits"]),
    publicKey: await crypto.subtle.importKey("jwk", jwk, algorithm, true, []),
  };
}
