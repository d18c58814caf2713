/**
 * Where the rows of a JSON file lie, found in one pass over its bytes.
 *
 * A list of gigabytes does not fit into memory, and a parser of the whole stops at the first broken
 * row. So brackets and quotes are followed only as far as is needed to tell the rows apart; each
 * row is parsed on its own, later, or never.
 *
 * @module
 */

/** First byte of a row and the first byte after it. */
export type ByteRange = readonly [start: number, end: number];

/** How the rows of a file are set apart. */
export type JsonLayout =
  /** One value in each line (JSONL). */
  | "lines"
  /** The elements of a list that is the whole file. */
  | "list"
  /** The elements of a list that the object in the file holds under a name. */
  | { readonly named: string };

const NEWLINE = 10, QUOTE = 34, COMMA = 44, COLON = 58, BACKSLASH = 92;
const OPEN_LIST = 91, CLOSE_LIST = 93, OPEN_OBJECT = 123, CLOSE_OBJECT = 125;

/** Space, tab, line feed, carriage return, and the three bytes of a byte order mark. */
const isBlank = (byte: number): boolean =>
  byte === 32 || (byte >= 9 && byte <= 13) || byte === 0xef || byte === 0xbb || byte === 0xbf;

/**
 * Finds rows in a file that is given piece by piece.
 *
 * @example
 * ```ts
 * const scan = new JsonScan("list");
 * const found = [...scan.push(new TextEncoder().encode('[{"a": 1}, 2]')), ...scan.end()];
 * // [[1, 9], [10, 12]]
 * ```
 */
export class JsonScan {
  #layout: JsonLayout;
  /** Bytes of all earlier pieces. */
  #offset = 0;
  #depth = 0;
  /** Depth of the list's elements once the list has begun. */
  #within: number | undefined;
  #done = false;
  #inString = false;
  /** Whether a backslash stands right before the next byte of a string. */
  #escaped = false;
  /** First byte of the row that has begun, and whether anything but blanks has come since. */
  #start = 0;
  #started = false;
  /** Bytes of the last string of the outermost object: perhaps the list's name. */
  #name: number[] = [];
  #nameEnded = false;

  /** @param layout how the rows are set apart */
  constructor(layout: JsonLayout) {
    this.#layout = layout;
  }

  /** Whether the list has begun, wherever it may end. */
  get found(): boolean {
    return this.#layout === "lines" || this.#within !== undefined;
  }

  /** The rows that end in the next piece of the file. */
  *push(piece: Uint8Array): Generator<ByteRange> {
    if (this.#layout === "lines") yield* this.#lines(piece);
    else yield* this.#elements(piece);
    this.#offset += piece.length;
  }

  /** The row that the end of the file cuts off, or what stands behind the end of the list. */
  *end(): Generator<ByteRange> {
    if (this.#started && this.found) yield [this.#start, this.#offset];
    this.#started = false;
  }

  *#lines(piece: Uint8Array): Generator<ByteRange> {
    for (let i = 0; i < piece.length;) {
      if (!this.#started) {
        if (isBlank(piece[i])) {
          i++;
          continue;
        }
        [this.#started, this.#start] = [true, this.#offset + i];
      }
      const at = piece.indexOf(NEWLINE, i);
      if (at < 0) return;
      yield [this.#start, this.#offset + at];
      this.#started = false;
      i = at + 1;
    }
  }

  *#elements(piece: Uint8Array): Generator<ByteRange> {
    for (let i = 0; i < piece.length; i++) {
      if (this.#inString) {
        i = this.#skipString(piece, i);
        continue;
      }
      const within = this.#done ? undefined : this.#within;
      if (within !== undefined && this.#depth > within) {
        i = this.#skipRow(piece, i, within) - 1;
        continue;
      }
      const byte = piece[i], at = this.#offset + i;
      const between = this.#depth === this.#within && !this.#done;
      if (between && (byte === COMMA || byte === CLOSE_LIST)) {
        // Nothing before the bracket is an empty list, nothing before a comma a broken row.
        if (this.#started || byte === COMMA) yield [this.#start, at];
        this.#start = at + 1;
        this.#started = false;
        if (byte === CLOSE_LIST) [this.#done, this.#depth] = [true, this.#depth - 1];
        continue;
      }
      if (
        !isBlank(byte) && !this.#started && (between || (this.#done && this.#layout === "list"))
      ) {
        this.#started = true;
        if (this.#done) this.#start = at;
      }
      this.#structure(byte, at, between);
    }
  }

  #structure(byte: number, at: number, between: boolean): void {
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        this.#escaped = false;
        if (this.#depth === 1 && !this.found) [this.#name, this.#nameEnded] = [[], false];
        break;
      case COLON:
        if (this.#depth === 1) this.#nameEnded = true;
        break;
      case COMMA:
        if (this.#depth === 1) [this.#name, this.#nameEnded] = [[], false];
        break;
      case OPEN_LIST:
        this.#depth++;
        if (!this.found && this.#beginsList()) {
          this.#within = this.#depth;
          this.#start = at + 1;
          this.#started = false;
        }
        break;
      case OPEN_OBJECT:
        this.#depth++;
        break;
      case CLOSE_LIST:
        this.#depth--;
        break;
      case CLOSE_OBJECT:
        // A bracket too many inside of a row must not end the list: it spoils this row alone.
        if (!between) this.#depth--;
        break;
    }
  }

  #beginsList(): boolean {
    if (this.#layout === "list") return this.#depth === 1;
    if (this.#layout === "lines" || this.#depth !== 2 || !this.#nameEnded) return false;
    return new TextDecoder().decode(Uint8Array.from(this.#name)) === this.#layout.named;
  }

  /** @returns place of the string's last byte in this piece, or the piece's length */
  #skipString(piece: Uint8Array, from: number): number {
    const length = piece.length;
    let i = from, escaped = this.#escaped;
    for (; i < length; i++) {
      const byte = piece[i];
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) break;
    }
    this.#escaped = escaped;
    this.#inString = i === length;
    if (this.#depth === 1 && !this.found && this.#name.length < 256) {
      for (const byte of piece.subarray(from, Math.min(i, from + 256))) this.#name.push(byte);
    }
    return i;
  }

  /**
   * Follows brackets inside of a row, where nothing else matters: most of the file.
   *
   * @returns place of the first byte that is not inside of the row any more
   */
  #skipRow(piece: Uint8Array, from: number, within: number): number {
    const length = piece.length;
    let i = from, depth = this.#depth;
    for (; i < length && depth > within; i++) {
      const byte = piece[i];
      if (byte === QUOTE) {
        i = this.#skipString(piece, i + 1);
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth++;
      else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    }
    this.#depth = depth;
    return Math.min(i, length);
  }
}
