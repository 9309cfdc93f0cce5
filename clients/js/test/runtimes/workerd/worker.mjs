import { report } from "suite.mjs";

export default { test: (_, env) => report(env.HARNESS) };
