/** From tokens that come one by one to text that can be shown at once. */

/** Turns tokens into text. */
export interface TokenDecoder {
  /** The text of tokens, special ones left out. */
  decode(ids: readonly number[]): string;
}

/** What a decoder puts for bytes that are no whole character (yet). */
const INCOMPLETE = "\ufffd";
/** A character has at most four bytes, so that many tokens may have to be waited for. */
const LONGEST_CHARACTER = 4;

/**
 * The text of tokens piece by piece. A token may hold a part of a character only (byte-level
 * vocabularies), and its text may depend on the one before it (a blank in front of a word): tokens
 * are decoded together with their last neighbours, and a piece is held back until its characters are
 * whole.
 */
export class TextPieces {
  readonly #decoder: TokenDecoder;
  #tokens: number[] = [];
  /** Tokens before this are only there as neighbours; their text has been given. */
  #given = 0;

  /** Begins a text. @param decoder the tokenizer */
  constructor(decoder: TokenDecoder) {
    this.#decoder = decoder;
  }

  /** Takes a token. @returns the text that is certain now, often of this token, sometimes none */
  add(token: number): string {
    this.#tokens.push(token);
    return this.#next(this.#tokens.length - this.#given > LONGEST_CHARACTER);
  }

  /** The text that is left, whole or not. */
  end(): string {
    return this.#next(true);
  }

  #next(whatever: boolean): string {
    const before = this.#decoder.decode(this.#tokens.slice(0, this.#given));
    const all = this.#decoder.decode(this.#tokens);
    if (all.endsWith(INCOMPLETE) && !whatever) return "";
    const piece = all.slice(before.length);
    if (piece === "") return ""; // a special token: no neighbour of a word
    // What has been given stays as neighbour of what comes.
    this.#tokens = this.#tokens.slice(this.#given);
    this.#given = this.#tokens.length;
    return piece;
  }
}

/**
 * Cuts a text at the first of several stop strings. What might become one is held back, so that
 * nothing of a stop string is ever shown, wherever its pieces end.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #found: string | undefined;

  /** Begins a text. @param stops where it ends @throws {RangeError} if one is empty */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) throw new RangeError("a stop string is empty: it would end every text");
    this.#stops = stops;
  }

  /** The stop string that was found. */
  get found(): string | undefined {
    return this.#found;
  }

  /** Takes a piece. @returns what can be shown of the text so far */
  add(piece: string): string {
    if (this.#found !== undefined) return "";
    const text = this.#held + piece;
    const places = this.#stops.map((stop) => ({ stop, at: text.indexOf(stop) }))
      .filter(({ at }) => at >= 0).sort((a, b) => a.at - b.at);
    if (places.length > 0) {
      this.#found = places[0].stop;
      this.#held = "";
      return text.slice(0, places[0].at);
    }
    const hold = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - hold);
    return text.slice(0, text.length - hold);
  }

  /** What is left when no more comes. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Length of the longest end of a text that a stop string begins with. */
function overlap(text: string, stop: string): number {
  let length = Math.min(text.length, stop.length - 1);
  while (length > 0 && !stop.startsWith(text.slice(text.length - length))) length--;
  return length;
}
