import { report } from "../suite.mjs";

test("the suite", () => report(process.env.HARNESS), 300_000);
