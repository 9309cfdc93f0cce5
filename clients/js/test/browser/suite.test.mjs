// The suite of all runtimes in three browser engines. A page of another origin than the service's runs it,
// and reports.
//
// Needs `cargo build --workspace --bins`, and Debian's packages `chromium`, `firefox-esr`,
// `libwebkit2gtk-4.1-0` and `xvfb`.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startHarness } from "../runtimes/harness.mjs";
import { startBrowser } from "./demo.mjs";

const ARE_DUE = process.env.CI === "true" && process.platform === "linux" && process.arch === "x64";
/** A new profile that asks no questions, and calls only the page's server. */
const FIREFOX_SETTINGS = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.healthreport.uploadEnabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "",
};
let harness;

before(async () => {
  harness = await startHarness();
});
after(() => harness?.stop());

/** Starts a browser at a page that reports, if this machine has the browser. */
function browser(name, found, start) {
  const isMissing = !found && !ARE_DUE;
  if (isMissing) console.log(`SKIPPED ${name}: it is not installed`);
  test(name, { skip: isMissing }, () => harness.run(name, {}, start));
}

/** A home directory of its own, so that runs do not share state. */
function homeOf(name) {
  const home = join(harness.folder, name);
  mkdirSync(home);
  return home;
}

browser("Chromium", true, async (base) => {
  const chromium = await startBrowser();
  await (await chromium.newPage()).goto(`${base}/`);
  return () => chromium.close();
});

const firefox = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
browser("Firefox", existsSync(firefox), (base, reject) => {
  const home = homeOf("firefox");
  const settings = Object.entries(FIREFOX_SETTINGS).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  writeFileSync(join(home, "user.js"), settings.join(""));
  const flags = (base) => ["--headless", "--no-remote", "--profile", home, `${base}/`];
  return harness.program(firefox, flags, { env: { ...process.env, HOME: home } })(base, reject);
});

/** WebKitGTK's MiniBrowser, which has no headless mode. */
const webKit = miniBrowser();
browser("WebKitGTK", webKit !== undefined && existsSync("/usr/bin/Xvfb"), async (base, reject) => {
  const screen = await startScreen();
  try {
    // Its sandbox needs user namespaces, which containers may lack. The page is ours.
    const env = {
      ...process.env,
      HOME: homeOf("webkit"),
      DISPLAY: screen.display,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
    };
    const stop = await harness.program(webKit, (base) => ["--private", `${base}/`], { env })(base, reject);
    return async () => {
      await stop();
      screen.stop();
    };
  } catch (error) {
    screen.stop();
    throw error;
  }
});

function miniBrowser() {
  try {
    const folders = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/webkit2gtk-4.1/MiniBrowser`);
    return folders.find(existsSync);
  } catch {
    return undefined;
  }
}

/** A virtual screen, at any free number. */
async function startScreen() {
  const flags = ["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"];
  const child = spawn("Xvfb", flags, { stdio: ["ignore", "pipe", "ignore"] });
  const number = await new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
      if (said.endsWith("\n")) resolve(said.trim());
    });
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`Xvfb ended with ${code}`)));
  });
  return { display: `:${number}`, stop: () => child.kill() };
}
