// Which runtimes npm has installed.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where a runtime that is not there is a fault. */
export const isDue = process.env.CI === "true" && process.platform === "linux" && process.arch === "x64";

const modules = fileURLToPath(new URL("node_modules", import.meta.url));

/**
 * The program of a scope such as `@deno`, which has a package for each kind of machine, and this machine's is installed. Not what a
 * package links to: that is made by scripts, which are not run.
 */
export function inScope(scope, path) {
  try {
    const [name] = readdirSync(join(modules, scope));
    return join(modules, scope, name, path);
  } catch {
    return undefined;
  }
}
