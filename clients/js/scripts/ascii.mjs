// Makes `dist` ASCII, so that a page of any character set reads it, or a bundle of it, the same. Code must be
// ASCII in the source, because bundlers undo escapes. Comments are rewritten here.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { transformSync } from "esbuild";

const dist = new URL("../dist/", import.meta.url);
const WORDS = { "\u00a7": "section ", "\u00b2": "^2", "\u2014": "-", "\u2016": "||", "\u2026": "..." };
const FOREIGN = /[^\0-\x7f]/gu;

for (const name of readdirSync(dist, { recursive: true })) {
  if (!/\.(js|d\.ts)$/.test(name)) continue;
  const file = new URL(name, dist);
  const text = readFileSync(file, "utf8");
  // Without comments, and with escapes decoded.
  const loader = name.endsWith(".js") ? "js" : "ts";
  const { code } = transformSync(text, {
    loader,
    charset: "utf8",
    legalComments: "none",
    minifyWhitespace: true,
    minifySyntax: true,
  });
  const found = code.match(FOREIGN);
  if (found !== null) throw new Error(`${name}: the code holds ${found.join()}, and every bundler would put that into pages`);
  writeFileSync(file, text.replace(FOREIGN, word));
}

function word(character) {
  return WORDS[character] ?? `U+${character.codePointAt(0).toString(16).toUpperCase()}`;
}
