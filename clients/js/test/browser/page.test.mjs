// The demo's page in a real browser, with real processes: what a visitor can do and see.
//
// Needs `cargo build --workspace --bins`, `make release-tool`, and Chromium (Debian's package, or
// CHROMIUM=path).

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { HOSTS, spellings, startBrowser, startDemo, Visitor } from "./demo.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
/** Long enough that no random byte string holds one of its spellings by chance. */
const PIN = "493157268014";
const NUMBER = "4000000000000002";
const NAME = "Ada Lovelace";
const REFUSALS = {
  "swapped-key": { code: "not_in_batch", check: 3 },
  "other-image": { code: "release_not_listed", check: 2 },
  "old-answer": { code: "nonce_mismatch", check: 4 },
  "old-releases": { code: "log_rolled_back", check: 0 },
  late: { code: "key_expired", check: 6 },
};

let demo;
let browser;
before(async () => {
  demo = await startDemo();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/**
 * Runs a scenario with a visitor of its own, and checks that the page logs no error, no warning and no policy
 * violation.
 */
function visit(name, options, scenario) {
  test(name, async () => {
    const visitor = await Visitor.at(demo.url, browser, options);
    try {
      await scenario(visitor, visitor.page);
      assert.deepEqual(visitor.problems, []);
    } finally {
      await visitor.leave();
    }
  });
}

describe("a payment", () => {
  visit("goes from the form to the key's end by keyboard alone", {}, async (visitor, page) => {
    const isFocused = (locator) => locator.evaluate((node) => node === document.activeElement);
    const tabTo = async (locator) => {
      for (let presses = 0; presses < 60; presses++) {
        if (await isFocused(locator)) return;
        await page.keyboard.press("Tab");
      }
      assert.fail("no number of tabs leads there");
    };
    await page.keyboard.press("Tab");
    assert.ok(await isFocused(page.getByRole("link", { name: "Skip to the card" })));
    await page.keyboard.press("Enter");
    await tabTo(page.getByLabel("PIN", { exact: true }));
    await page.keyboard.type("12");
    await page.keyboard.press("Enter");
    const mistake = page.getByText("A PIN has 4 to 12 digits.");
    await mistake.waitFor();
    assert.ok(await isFocused(page.getByLabel("PIN", { exact: true })), "the field that is wrong has the focus");
    await page.keyboard.type("34");
    assert.equal(await mistake.count(), 0, "the problem ends when the field changes");
    await tabTo(page.getByRole("radio", { name: HOSTS.honest }));
    await page.keyboard.press("ArrowDown");
    assert.ok(await page.getByRole("radio", { name: HOSTS["swapped-key"] }).isChecked());
    await page.keyboard.press("ArrowUp");
    await tabTo(page.getByLabel("Stop before encrypting"));
    await page.keyboard.press("Space");
    await tabTo(page.getByRole("button", { name: "Pay" }));
    await page.keyboard.press("Enter");

    const go = page.getByRole("button", { name: "Encrypt and pay" });
    await go.waitFor();
    assert.ok(await isFocused(go));
    assert.equal(visitor.sent().length, 0);
    assert.match(await page.getByRole("timer").textContent(), /^\d+\.\d\u00a0s$/);
    assert.deepEqual(await visitor.checks(), Array(7).fill("held"));
    await tabTo(page.locator("#check-document summary"));
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("#check-document .chain li").count(), 5);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    assert.ok(await isFocused(go));
    await page.keyboard.press("Enter");

    await visitor.paid();
    assert.ok(await isFocused(page.getByRole("heading", { name: "Paid" })));
    const part = (name) => page.getByRole("region", { name }).textContent();
    const merchant = await part("What the merchant sees");
    assert.match(merchant, /order \d+/);
    assert.match(merchant, /272 bytes/);
    assert.doesNotMatch(merchant, /Lovelace|4000|1234/);
    const issuer = await part("What the issuer reads");
    for (const read of ["1234", "4000 0000 0000 0002", NAME]) assert.ok(issuer.includes(read), `the issuer reads ${read}`);
    const end = await part("The key's end");
    assert.match(end, /used/);
    assert.match(end, /key_used/);
    assert.match(end, /unsigned: take it as advice/);
    assert.match(await page.locator("#key-says").textContent(), /^This key was used/);
    assert.equal(await page.getByLabel("PIN", { exact: true }).inputValue(), "", "the PIN is gone from the form");
  });

  visit("shows what each check found out", {}, async (visitor, page) => {
    await visitor.pay();
    await visitor.paid();
    const says = (name) => page.locator(`#check-${name}`).textContent();
    assert.match(await says("releases"), /Held: Accepted is ok2cry-enclave 1\.0\.0, for another \d+ days/);
    assert.match(await says("document"), /Held: 5 certificates/);
    assert.match(await says("document"), /\d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d/, "certificates have times");
    assert.match(await says("image"), /PCR0[0-9a-f]{96}PCR1[0-9a-f]{96}PCR2[0-9a-f]{96}/);
    assert.match(await says("request"), /Nonce[0-9a-f]{64}/);
    assert.match(await says("reader"), /Purpose card-pin/);
    assert.match(await says("lifetime"), /It lives for 60 seconds/);
  });

  visit("can be made again, for another order", {}, async (visitor, page) => {
    const order = page.locator("#order");
    const first = await order.textContent();
    await visitor.pay();
    await visitor.paid();
    // A payment stays on the page until the next one.
    assert.equal(await order.textContent(), first);
    await visitor.pay();
    await page.waitForFunction((before) => document.getElementById("order").textContent !== before, first);
    await visitor.paid();
    const aads = visitor.sent().map(({ body }) => JSON.parse(body).aad);
    assert.equal(new Set(aads).size, 2);
  });

  visit("sends no secret in the clear", {}, async (visitor, page) => {
    await visitor.pay({ host: "swapped-key", pin: PIN });
    assert.equal(await visitor.refusal(), "not_in_batch");
    await visitor.pay({ pin: PIN });
    await visitor.paid();
    assert.equal(visitor.sent().length, 1);
    const kept = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    );
    const databases = await page.evaluate(async () => (await indexedDB.databases()).length + (await caches.keys()).length);
    assert.equal(databases, 0);
    const seen = visitor.requests.flatMap(({ url, body }) => [url, body.toString("latin1"), ...decoded(body)]);
    for (const secret of [PIN, NUMBER, NAME]) {
      for (const spelling of spellings(secret)) {
        for (const text of [...seen, kept]) assert.ok(!text.includes(spelling), `${spelling} in ${text.slice(0, 200)}`);
      }
    }
    const origins = new Set(visitor.requests.map(({ url }) => new URL(url).origin));
    assert.deepEqual([...origins], [demo.url]);
  });

  visit("has one length for short and long cards", {}, async (visitor, page) => {
    await page.getByLabel("Name on the card").fill("Al");
    await visitor.pay({ pin: "1234" });
    await visitor.paid();
    await page.getByLabel("Name on the card").fill("Augusta Ada King, Countess of Lovelace");
    await visitor.pay({ pin: PIN });
    await page.waitForFunction(() => document.getElementById("issuer").textContent.includes("Countess"));
    const lengths = visitor.sent().map(({ body }) => JSON.parse(body).ciphertext.length);
    assert.deepEqual(lengths, [363, 363]);
  });
});

describe("a dishonest host", () => {
  for (const [host, { code, check }] of Object.entries(REFUSALS)) {
    visit(`is refused: ${host}`, {}, async (visitor, page) => {
      await visitor.pay({ host });
      assert.equal(await visitor.refusal(), code);
      assert.equal(visitor.sent().length, 0);
      const states = Array.from({ length: 7 }, (_, at) => (at < check ? "held" : at === check ? "broken" : "unreached"));
      assert.deepEqual(await visitor.checks(), states);
      const refusal = await page.locator("#refusal").textContent();
      assert.match(refusal, /nothing encrypted/);
      assert.match(refusal, /Without this check/);
      assert.match(refusal, /Nothing was sent to the merchant/);
      assert.ok(await page.locator("#refusal-title").evaluate((node) => node === document.activeElement));
      assert.equal(await page.getByLabel("PIN", { exact: true }).inputValue(), "4931", "the form keeps the card");
      await visitor.picture(`refused-${host}`);

      await visitor.pay();
      await visitor.paid();
      assert.equal(visitor.sent().length, 1, "an honest host after it is served");
    });
  }

  visit("can refuse service, and nothing else", {}, async (visitor, page) => {
    await page.route("**/v1/keys", (route) =>
      route.fulfill({
        status: 503,
        contentType: "application/problem+json",
        body: JSON.stringify({ type: "x", title: "x", status: 503, detail: "x", code: "not_in_batch" }),
      }),
    );
    await visitor.pay();
    assert.equal(await visitor.refusal(), "not_in_batch");
    assert.match(await page.locator("#refusal").textContent(), /no answer that could be checked/);
    assert.ok(!(await visitor.checks()).includes("broken"), "what a host says is not what a check says");
    assert.equal(visitor.sent().length, 0);
    // The browser's own message about the answer.
    visitor.problems = visitor.problems.filter((problem) => !problem.includes("503"));
  });
});

describe("a key", () => {
  visit("encrypts nothing after its deadline", {}, async (visitor, page) => {
    await page.clock.install();
    await visitor.pay({ pause: true });
    await page.getByRole("button", { name: "Encrypt and pay" }).waitFor();
    await page.clock.fastForward(61_000);
    await page.getByText("This key is gone. It encrypts nothing any more.").waitFor();
    await page.getByRole("button", { name: "Encrypt and pay" }).click();
    assert.equal(await visitor.refusal(), "key_expired");
    assert.equal(visitor.sent().length, 0);
    await visitor.picture("refused-expired");
  });

  visit("is abandoned when another payment begins", {}, async (visitor, page) => {
    await visitor.pay({ pause: true });
    const go = page.getByRole("button", { name: "Encrypt and pay" });
    await go.waitFor();
    await page.getByRole("button", { name: "Start again" }).click();
    await go.waitFor();
    await go.click();
    await visitor.paid();
    assert.equal(visitor.sent().length, 1);
  });
});

describe("a visitor", () => {
  const schemes = { light: { colorScheme: "light" }, dark: { colorScheme: "dark" } };
  const sizes = {
    "": { viewport: { width: 1280, height: 900 } },
    "-phone": { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2 },
  };
  for (const [scheme, colours] of Object.entries(schemes)) {
    for (const [size, screen] of Object.entries(sizes)) {
      visit(`finds the page accessible: ${scheme}${size}`, { ...colours, ...screen }, async (visitor, page) => {
        await visitor.picture(`${scheme}${size}`);
        await accessible(page, "at first");
        await page.getByLabel("PIN", { exact: true }).fill("12");
        await page.getByRole("button", { name: "Pay" }).click();
        await accessible(page, "with a mistake");
        await visitor.pay({ pause: true });
        await page.getByRole("button", { name: "Encrypt and pay" }).waitFor();
        await visitor.picture(`${scheme}${size}-held`);
        await accessible(page, "with a key");
        await page.getByRole("button", { name: "Encrypt and pay" }).click();
        await visitor.paid();
        for (const summary of await page.locator("summary").all()) await summary.click();
        await accessible(page, "paid, with every detail");
        for (const summary of await page.locator("summary").all()) await summary.click();
        await visitor.picture(`${scheme}${size}-paid`);
        await visitor.pay({ host: "other-image" });
        await visitor.refusal();
        await visitor.picture(`${scheme}${size}-refused`);
        await accessible(page, "refused");
      });
    }
  }

  visit("reads it at 320 pixels without scrolling sideways", { viewport: { width: 320, height: 640 } }, async (visitor, page) => {
    const fits = async () => {
      const widest = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(widest <= 320, `${widest} pixels wide`);
    };
    await fits();
    await visitor.pay();
    await visitor.paid();
    for (const summary of await page.locator("summary").all()) await summary.click();
    await fits();
    await visitor.picture("narrow-paid");
    await visitor.pay({ host: "old-releases" });
    await visitor.refusal();
    await fits();
  });

  visit("gets the state announced", {}, async (visitor, page) => {
    const status = page.getByRole("status").filter({ hasText: /\S/ });
    await visitor.pay({ host: "swapped-key" });
    await visitor.refusal();
    assert.match(await status.textContent(), /^Refused/);
    await visitor.pay();
    await visitor.paid();
    assert.match(await status.textContent(), /^Paid/);
  });
});

async function accessible(page, when) {
  // Through the debugger, which the page's policy does not restrict.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(await source());
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
  assert.deepEqual(found, [], when);
}

async function source() {
  const { readFile } = await import("node:fs/promises");
  return readFile(axe, "utf8");
}

/** The byte strings in a JSON body. */
function decoded(body) {
  const texts = [];
  const walk = (value) => {
    if (typeof value === "string") texts.push(Buffer.from(value, "base64url").toString("latin1"));
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
  };
  if (body.length > 0) walk(JSON.parse(body));
  return texts;
}
