// The smallest transform there is for a Jest without `--experimental-vm-modules`.
const { transformSync } = require("esbuild");

module.exports = { process: (text) => transformSync(text, { format: "cjs", target: "es2022" }) };
