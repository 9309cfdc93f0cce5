// What the visitor sees: the checks, the key's remaining life, a refusal, and the result of a payment.

import { fromBase64Url, type VerifiedKey } from "../../clients/js/src/index.js";
import type { Card } from "./card.js";
import { CHECKS, type CheckName, type Finding } from "./checks.js";
import { aloud, byId, bytes, element, more, named } from "./dom.js";
import type { Meaning } from "./refusals.js";

/** The merchant's answer to a payment. */
export interface Paid {
  readonly merchant: {
    readonly order: string;
    readonly received: { readonly key_id: string; readonly enc: string; readonly ciphertext: string; readonly aad: string };
    readonly reply: { readonly reply: string; readonly context: { readonly record: string; readonly document: string } };
  };
  readonly issuer: { readonly order: string; readonly purpose: string; readonly card: Card };
  readonly key: { readonly state: string; readonly second: string | null; readonly detail: string };
}

type State = "open" | "held" | "broken" | "unreached";

const ALOUD: Readonly<Record<State, string>> = {
  open: "Not checked yet:",
  held: "Held:",
  broken: "Did not hold:",
  unreached: "Not reached:",
};

let ticking: ReturnType<typeof setInterval> | undefined;

/** Lists the checks as not yet made. */
export function listChecks(): void {
  const items = CHECKS.map(({ name, title }) => {
    const item = element("li", "check-item", element("h3", "", title), element("p", "says"), element("div", "details"));
    item.id = `check-${name}`;
    return item;
  });
  byId("checks").replaceChildren(...items);
  clear();
}

/** Resets all checks. */
export function clear(): void {
  clearInterval(ticking);
  for (const { name } of CHECKS) mark(name, "open");
  for (const id of ["refusal", "key", "held", "results"]) byId(id).hidden = true;
}

/** Shows that a check held, with its result. */
export function showFinding(name: CheckName, { says, details }: Finding): void {
  mark(name, "held", says, details);
}

/** Announces an event to screen readers. */
export function announce(says: string): void {
  byId("announce").textContent = says;
}

/** Shows a key's remaining life. */
export function countDown(key: VerifiedKey): void {
  const plate = byId("key");
  const life = key.expiresAtMs - key.issuedAtMs;
  const tick = (): void => {
    const left = Math.max(0, key.expiresAtMs - Date.now());
    plate.dataset["state"] = left > 0 ? "live" : "expired";
    byId("key-says").textContent = left > 0 ? "This key is gone in" : "This key is gone. It encrypts nothing any more.";
    byId("countdown").textContent = left > 0 ? seconds(left) : "";
    byId("bar").style.inlineSize = `${(100 * left) / life}%`;
    if (left === 0) clearInterval(ticking);
  };
  plate.hidden = false;
  tick();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  ticking = setInterval(tick, calm ? 1000 : 100);
}

/** Shows that a key was used. */
export function usedUp(key: VerifiedKey): void {
  clearInterval(ticking);
  const now = Date.now();
  byId("key").dataset["state"] = "used";
  byId("key-says").textContent =
    `This key was used ${seconds(now - key.issuedAtMs)} after it was made, and is gone ${seconds(key.expiresAtMs - now)} early.`;
  byId("countdown").textContent = "";
}

/** Waits until the visitor goes on; meanwhile the key's time passes. */
export async function untilTold(signal: AbortSignal): Promise<void> {
  const go = byId<HTMLButtonElement>("go");
  byId("held").hidden = false;
  announce("Every check held. Nothing is encrypted yet.");
  show(byId("key"), go);
  try {
    await new Promise<void>((resolve, reject) => {
      go.addEventListener("click", () => resolve(), { once: true, signal });
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  } finally {
    byId("held").hidden = true;
  }
}

/** Shows what merchant and issuer saw, and the key's end. */
export function showPaid({ merchant, issuer, key }: Paid): void {
  const { received, reply } = merchant;
  const long = (of: string, text: string): HTMLElement => more(`${fromBase64Url(text).length} bytes`, of, bytes(text));
  byId("merchant").replaceChildren(
    named([
      ["Order (aad)", merchant.order],
      [`Ciphertext, ${fromBase64Url(received.ciphertext).length} bytes`, bytes(received.ciphertext)],
      ["Encapsulated key", bytes(received.enc)],
      ["Key id", bytes(received.key_id)],
      ["Sealed reply, for the issuer", long("sealed reply", reply.reply)],
      ["The reply's context", long("the reply's context", reply.context.record)],
      ["The context's attestation document", long("the context's attestation document", reply.context.document)],
    ]),
  );
  byId("issuer").replaceChildren(
    named([
      ["PIN", element("strong", "pin", issuer.card.pin)],
      ["Card", issuer.card.number.replace(/(.{4})(?=.)/g, "$1 ")],
      ["Name", issuer.card.name],
      ["For", `${issuer.order}, ${issuer.purpose}`],
    ]),
  );
  const isOver = key.state === "used" && key.second === "key_used";
  byId("end-says").textContent = isOver
    ? "It has opened one message. A second one, sealed to it as well as the first, is refused."
    : "This is not as it should be: a key opens one message.";
  byId("end").replaceChildren(
    named([
      ["State", key.state],
      [
        "A second message",
        key.second === null ? "opened" : element("span", "", element("code", "", key.second), `: ${key.detail}`),
      ],
    ]),
  );
  byId("results").hidden = false;
  show(byId("results"), byId("results-title"), "start");
  announce("Paid. The issuer has read the card, the merchant saw ciphertext, and the key is gone.");
}

/** Shows a refusal: its code, the failed check with the client's reason, and what it has prevented. */
export function showRefusal(
  { code, message }: { code: string; message: string },
  { check, why, otherwise }: Meaning,
  isSent: boolean,
): void {
  const broken = CHECKS.findIndex(({ name }) => name === check);
  for (const [index, { name }] of CHECKS.entries()) {
    if (index === broken) mark(name, "broken", sentence(message));
    else if (broken >= 0 && index > broken) mark(name, "unreached");
    else if (broken >= 0 && byId(`check-${name}`).dataset["state"] === "open") mark(name, "held");
  }
  const says = isSent ? "Not paid" : "Refused, and nothing encrypted";
  byId("refusal-title").replaceChildren(`${says}: `, element("code", "", code));
  byId("refusal-why").textContent = why;
  byId("refusal-otherwise").textContent = otherwise;
  byId("refusal-kept").textContent = isSent
    ? "What was sent is ciphertext. Your card is still in the form."
    : "Nothing was sent to the merchant, and your card is still in the form: choose another host, and try again.";
  byId("refusal").hidden = false;
  show(byId("refusal"), byId("refusal-title"));
  announce(`${says}. ${why}`);
}

/** Scrolls an element into view, and gives the focus to a part of it. */
function show(all: HTMLElement, focused: HTMLElement, block: ScrollLogicalPosition = "nearest"): void {
  focused.focus({ preventScroll: true });
  all.scrollIntoView({ block });
}

/** Marks a check, for the style sheet and for screen readers. */
function mark(name: CheckName, state: State, says?: string, details: readonly Node[] = []): void {
  const item = byId(`check-${name}`);
  const check = CHECKS.find((other) => other.name === name);
  item.dataset["state"] = state;
  item.querySelector(".says")?.replaceChildren(aloud(`${ALOUD[state]} `), says ?? check?.asks ?? "");
  const of = check?.title.toLowerCase() ?? "";
  item.querySelector(".details")?.replaceChildren(...(details.length > 0 ? [more("Details", of, ...details)] : []));
}

/** The client's message as a sentence. A field name at its beginning stays as it is. */
function sentence(message: string): string {
  const begun = /^[a-z_0-9]+:/.test(message) ? message : message.charAt(0).toUpperCase() + message.slice(1);
  return `${begun}.`;
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)}\u00a0s`;
}
