// The runtimes that npm has installed.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Whether a missing runtime is a failure. */
export const isDue = process.env.CI === "true" && process.platform === "linux" && process.arch === "x64";

const modules = fileURLToPath(new URL("node_modules", import.meta.url));

/**
 * The program of a scope such as `@deno`, whose package for this machine npm has installed. Not the link in
 * another package: install scripts, which do not run, would make it.
 */
export function inScope(scope, path) {
  try {
    const [name] = readdirSync(join(modules, scope));
    return join(modules, scope, name, path);
  } catch {
    return undefined;
  }
}
