const { report } = require("../suite.mjs");

test("the suite, required", () => report(process.env.HARNESS), 300_000);
