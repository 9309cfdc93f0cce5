// Builds the demo's page into dist, the same bytes each time. With --check it compares them with the
// committed files and fails on a difference: `make demo` needs no Node, and CI knows that the demo serves
// what the sources say. Run by `npm run demo` in clients/js, whose packages it uses.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = new URL("./", import.meta.url);
const { build } = createRequire(new URL("../../clients/js/package.json", here))("esbuild");
const banner = "/* ok2cry's demo page, MIT OR Apache-2.0: demo/page. Holds hpke (npm), MIT. */";

const bundled = await build({
  absWorkingDir: fileURLToPath(here),
  entryPoints: ["page.ts", "page.css"],
  outdir: "dist",
  bundle: true,
  write: false,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: { js: banner, css: banner },
  logLevel: "warning",
});
const files = new Map(bundled.outputFiles.map((file) => [file.path.split("/").at(-1), file.contents]));

let html = await readFile(new URL("index.html", here), "utf8");
for (const [name, contents] of files) {
  html = html.replace(`{{${name}}}`, `sha384-${createHash("sha384").update(contents).digest("base64")}`);
}
if (html.includes("{{")) throw new Error("index.html names a file that is not built");
files.set("index.html", new TextEncoder().encode(html));

const check = process.argv.includes("--check");
await mkdir(new URL("dist/", here), { recursive: true });
for (const [name, contents] of files) {
  const path = new URL(`dist/${name}`, here);
  const committed = await readFile(path).catch(() => undefined);
  const same = committed !== undefined && Buffer.compare(committed, contents) === 0;
  if (!check) {
    if (!same) await writeFile(path, contents);
    console.log(`demo/page/dist/${name}: ${contents.length} bytes`);
  } else if (!same) {
    console.error(`demo/page/dist/${name} is not what its sources make: run npm run demo and commit it`);
    process.exitCode = 1;
  }
}
