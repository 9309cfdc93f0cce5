// What stock jsdom lacks is reported at first use, not by a failing import.

test("the package loads without TextEncoder, fetch, crypto.subtle", async () => {
  expect([typeof TextEncoder, typeof fetch, typeof crypto.subtle]).toEqual(["undefined", "undefined", "undefined"]);
  const lib = await import("../../../dist/index.js");
  await expect(lib.checkEnvironment()).rejects.toMatchObject({ name: "Ok2cryError", code: "crypto_failed" });
  await expect(lib.RecipientKey.generate()).rejects.toMatchObject({ name: "Ok2cryError", code: "crypto_failed" });
});
