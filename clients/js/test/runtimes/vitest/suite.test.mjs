import { expect, test } from "vitest";
import { fetch as overXhr } from "whatwg-fetch";
import { report } from "../suite.mjs";

test("the suite", async () => {
  expect(document.defaultView).toBe(window);
  await report(process.env.HARNESS, process.env.OVER_XHR ? { fetch: overXhr } : {});
}, 300_000);
