// What stock jsdom lacks is told at the first use, and not by an import that fails.

test("the package can be imported where there is no TextEncoder, no fetch and no crypto.subtle", async () => {
  expect([typeof TextEncoder, typeof fetch, typeof crypto.subtle]).toEqual(["undefined", "undefined", "undefined"]);
  const lib = await import("../../../dist/index.js");
  await expect(lib.checkEnvironment()).rejects.toMatchObject({ name: "Ok2cryError", code: "crypto_failed" });
  await expect(lib.RecipientKey.generate()).rejects.toMatchObject({ name: "Ok2cryError", code: "crypto_failed" });
});
