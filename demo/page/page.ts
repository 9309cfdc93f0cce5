// The demo's page: the checkout of a shop that cannot read its customers' cards. The client in clients/js/src
// checks, encrypts and refuses; the rest shows it.

import {
  type AcceptedReleases,
  type ErrorCode,
  fetchKey,
  fetchReleases,
  fromBase64Url,
  Ok2cryError,
  ReleaseKey,
  ReleaseState,
  type SealedMessage,
  ServiceError,
  Trust,
  TrustAnchor,
  type VerifiedKey,
} from "../../clients/js/src/index.js";
import { type Card, encodeCard, readCard } from "./card.js";
import { type Asked, keyFindings, releasesFinding } from "./checks.js";
import { byId } from "./dom.js";
import { type Doing, meaning, NO_ANSWER } from "./refusals.js";
import {
  announce,
  clear,
  countDown,
  listChecks,
  type Paid,
  showFinding,
  showPaid,
  showRefusal,
  untilTold,
  usedUp,
} from "./view.js";

/** The answer of `GET /demo/config`. A production page has all of it but the order compiled in. */
interface Config {
  readonly release_threshold: number;
  readonly release_keys: readonly string[];
  readonly attestation_root: string;
  readonly recipient: string;
  readonly purpose: string;
  readonly ttl_ms: number;
  readonly emulated: boolean;
  readonly order: string;
}

/** What this page trusts, and what it requests. */
interface Setting extends Asked {
  readonly releaseKey: ReleaseKey;
  readonly anchor: TrustAnchor;
  readonly purpose: string;
  readonly order: string;
}

/** The storage key of the release state, by which the page detects an older release log. */
const MEMORY = "ok2cry.releases";
/** The timeout of a request, in milliseconds. */
const PATIENCE_MS = 30_000;
/** The lifetime of a key whose answer the host delays: short, so that the refusal comes soon. */
const SHORT_TTL_MS = 2000;
const PAY = "Pay €38.50";
const FAULT = { code: "unexpected", message: "" };

const form = byId<HTMLFormElement>("pay");
const submit = byId<HTMLButtonElement>("submit");
const pause = byId<HTMLInputElement>("pause");
const fields = {
  name: byId<HTMLInputElement>("name"),
  number: byId<HTMLInputElement>("number"),
  pin: byId<HTMLInputElement>("pin"),
};

/** The current payment. A new one aborts it. */
let current = new AbortController();
/** The page's settings, once they are loaded. */
let setting: Setting | undefined;

listChecks();
for (const field of Object.values(fields)) field.addEventListener("input", () => complain(field, undefined));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void pay();
});
void begin();

/** Loads the settings, then checks the releases for the first time, through an honest host. */
async function begin(): Promise<void> {
  const { signal } = current;
  try {
    setting = await learn();
    showOrder(setting);
    const releases = await checkReleases("/host/honest", setting, signal);
    if (!signal.aborted) showFinding("releases", releasesFinding(releases, setting, Date.now()));
  } catch (error) {
    if (!signal.aborted) refused(error, "releases");
  }
}

function showOrder({ order }: Setting): void {
  byId("order").textContent = `${order.replace("order", "Order")}, a pot of tea`;
}

async function learn(): Promise<Setting> {
  const config = (await answerTo("/demo/config", {})) as Config;
  byId("hardware").textContent = config.emulated
    ? "This enclave is an image booted in an emulated machine (QEMU): measured as on Nitro, and readable by its operator."
    : "This enclave is an ordinary process and its security module a mock: it signs as the real one does, measures nothing and hides nothing.";
  return {
    threshold: config.release_threshold,
    releaseKeys: config.release_keys.length,
    releaseKey: await ReleaseKey.fromPems(config.release_threshold, [...config.release_keys]),
    anchor: TrustAnchor.fromPem(config.attestation_root),
    recipient: fromBase64Url(config.recipient),
    purpose: config.purpose,
    ttlMs: config.ttl_ms,
    order: config.order,
  };
}

/** One payment, from the form to its result. */
async function pay(): Promise<void> {
  if (readForm() === undefined) return;
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const host = String(new FormData(form).get("host"));
  const base = `/host/${host}`;
  let doing: Doing = "releases";
  clear();
  busy(host === "late" ? "The host takes its time…" : "Checking…");
  try {
    setting ??= await learn();
    const known = setting;
    showOrder(known);
    const asked = host === "late" ? { ...known, ttlMs: SHORT_TTL_MS } : known;
    const releases = await checkReleases(base, asked, signal);
    showFinding("releases", releasesFinding(releases, asked, Date.now()));

    doing = "key";
    const trust = Trust.fromReleases(asked.anchor, releases);
    const key = await fetchKey(base, trust, asked, { signal });
    for (const [name, finding] of keyFindings(key, releases, asked)) showFinding(name, finding);
    countDown(key);
    if (pause.checked) {
      submit.textContent = "Start again";
      await untilTold(signal);
    }

    doing = "seal";
    const card = readForm();
    if (card === undefined) return idle();
    const message = await seal(key, card, asked.order);

    doing = "payment";
    const paid = await send(message, signal);
    fields.pin.value = "";
    usedUp(key);
    showPaid(paid);
    // The next payment needs a new order.
    setting = undefined;
    void learn().then(
      (next) => (setting = next),
      () => undefined,
    );
  } catch (error) {
    // A newer payment owns the page now.
    if (signal.aborted) return;
    idle();
    return refused(error, doing);
  }
  idle();
}

/** With the release state in this browser's storage, which a host cannot roll back. */
function checkReleases(base: string, { releaseKey, anchor }: Setting, signal: AbortSignal): Promise<AcceptedReleases> {
  return fetchReleases(
    base,
    releaseKey,
    anchor,
    ReleaseState.keptIn(() => localStorage, MEMORY),
    { signal },
  );
}

/** Encrypts a card. The plaintext bytes are overwritten; the text that they come from cannot be. */
async function seal(key: VerifiedKey, card: Card, order: string): Promise<SealedMessage> {
  const plaintext = encodeCard(card);
  try {
    return await key.seal({ plaintext, aad: new TextEncoder().encode(order) });
  } finally {
    plaintext.fill(0);
  }
}

async function send(message: SealedMessage, signal: AbortSignal): Promise<Paid> {
  const body = JSON.stringify({ key_id: message.keyId, ...message.toOpenRequest() });
  const headers = { "content-type": "application/json" };
  const said = await answerTo("/merchant/orders", { method: "POST", headers, body, signal });
  return said as Paid;
}

/** Sends a request to the shop's server. */
async function answerTo(path: string, init: RequestInit): Promise<unknown> {
  const inTime = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(init.signal ? [init.signal] : [])]);
  let answer: Response;
  let said: { code?: string; title?: string };
  try {
    answer = await fetch(path, { ...init, signal: inTime });
    said = await answer.json();
  } catch (cause) {
    throw new Ok2cryError("transport_failed", "the shop cannot be reached", { cause });
  }
  if (!answer.ok) throw new Ok2cryError((said.code ?? "transport_failed") as ErrorCode, said.title ?? "");
  return said;
}

function refused(error: unknown, doing: Doing): void {
  if (doing !== "seal") byId("key").hidden = true;
  if (!(error instanceof Ok2cryError)) {
    showRefusal(FAULT, { why: "This page has a fault, which the browser's console names.", otherwise: "" }, doing === "payment");
    throw error;
  }
  const isNoAnswer = error instanceof ServiceError || error.code === "transport_failed" || error.code === "answer_invalid";
  const known = doing === "payment" || !isNoAnswer ? meaning(error.code, doing) : NO_ANSWER;
  showRefusal(error, known, doing === "payment");
}

/** The card, or nothing if the form has mistakes, which are then shown. */
function readForm(): Card | undefined {
  const typed = { name: fields.name.value, number: fields.number.value, pin: fields.pin.value };
  const { card, mistakes } = readCard(typed);
  for (const name of ["pin", "number", "name"] as const) {
    complain(fields[name], mistakes[name]);
    // Backwards, so that the first one has the focus in the end.
    if (mistakes[name] !== undefined) fields[name].focus();
  }
  return Object.keys(mistakes).length === 0 ? card : undefined;
}

function complain(field: HTMLInputElement, mistake: string | undefined): void {
  byId(`${field.id}-error`).textContent = mistake ?? "";
  if (mistake === undefined) field.removeAttribute("aria-invalid");
  else field.setAttribute("aria-invalid", "true");
}

function busy(says: string): void {
  submit.textContent = says;
  form.setAttribute("aria-busy", "true");
  announce(says);
}

function idle(): void {
  submit.textContent = PAY;
  form.removeAttribute("aria-busy");
}
