// The card: what the form takes, and the bytes that are sealed.

/** What only the issuer reads. */
export interface Card {
  readonly name: string;
  readonly number: string;
  readonly pin: string;
}

/** What is wrong with a card's fields, by field; empty if nothing is. */
export type Mistakes = Partial<Record<keyof Card, string>>;

/** The length of every sealed card, in bytes: a ciphertext shows how long its plaintext is. */
export const SEALED_LENGTH = 256;

const MAX_NAME = 120;

/** Takes what was typed. Spaces in the number are for people. */
export function readCard(typed: Card): { card: Card; mistakes: Mistakes } {
  const card = { name: typed.name.trim(), number: typed.number.replace(/\s/g, ""), pin: typed.pin };
  const mistakes: Mistakes = {};
  if (card.name === "") mistakes.name = "Please type the name on the card.";
  else if (json(card.name).length > MAX_NAME) mistakes.name = "This name is too long.";
  if (!/^[0-9]{12,19}$/.test(card.number)) mistakes.number = "A card number has 12 to 19 digits.";
  if (!/^[0-9]{4,12}$/.test(card.pin)) mistakes.pin = "A PIN has 4 to 12 digits.";
  return { card, mistakes };
}

/**
 * The bytes to seal: JSON, padded as `docs/protocol.md` says under Seal, by `80` and zeros. Overwrite them when they are sealed.
 */
export function encodeCard({ name, number, pin }: Card): Uint8Array<ArrayBuffer> {
  const text = json({ name, number, pin });
  const plaintext = new Uint8Array(SEALED_LENGTH);
  if (text.length >= SEALED_LENGTH) throw new RangeError("the card is too long");
  plaintext.set(text);
  plaintext[text.length] = 0x80;
  text.fill(0);
  return plaintext;
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
