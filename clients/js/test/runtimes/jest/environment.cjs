// jsdom with what it leaves out of a browser, from Node. `docs/javascript.md` shows the same.
const { TestEnvironment } = require("jest-environment-jsdom");

module.exports = class extends TestEnvironment {
  constructor(...given) {
    super(...given);
    Object.assign(this.global, { TextEncoder, TextDecoder, fetch, Request, Response });
    Object.defineProperty(this.global, "crypto", { value: crypto });
  }
};
