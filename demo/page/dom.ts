// Helpers for the document. Text is inserted as text only: the page's policy forbids anything else.

/** The element of this id, which index.html has. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found as T;
}

/** A new element with these children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className: string,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

/** Text for screen readers. */
export function aloud(text: string): HTMLElement {
  return element("span", "visually-hidden", text);
}

/** A named value. */
export type Row = readonly [name: string, value: string | Node];

/** A list of named values. */
export function named(entries: readonly Row[]): HTMLElement {
  return element(
    "dl",
    "",
    ...entries.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))),
  );
}

/** Bytes, which may break at any line end. */
export function bytes(text: string): HTMLElement {
  return element("code", "bytes", text);
}

/** Details that a visitor can unfold. `of` names what they belong to, for screen readers. */
export function more(says: string, of: string, ...children: readonly Node[]): HTMLElement {
  return element("details", "", element("summary", "", says, aloud(`, ${of}`)), ...children);
}

/** A point in time, to the second. */
export function at(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A duration in the largest unit of which there are at least two. */
export function lasting(ms: number): string {
  const units: readonly [string, number][] = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1000],
  ];
  for (const [name, length] of units) {
    const count = Math.floor(ms / length);
    if (count >= 2) return `${count} ${name}s`;
  }
  return `${Math.max(0, Math.round(ms))} ms`;
}
