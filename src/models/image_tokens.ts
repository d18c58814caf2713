/** Rows of token ids with pictures among them, ready for a published model. */

/** A text: token ids with one image token for each picture. */
export interface TokenRow {
  /** Token ids. */
  readonly tokens: readonly number[];
  /** What is to be predicted at each place, -100 for nothing. Default nothing anywhere. */
  readonly labels?: readonly number[];
}

/** Rows of one length, `[rows, length]` each, row by row. */
export interface PaddedRows {
  /** Number of rows and their length. */
  readonly shape: readonly [number, number];
  /** Token ids. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** 0 for padding, else 1. */
  readonly mask: Int32Array<ArrayBuffer>;
  /** -100 at images and padding. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** 0, 1, 2, … without the padding. */
  readonly positions: Int32Array<ArrayBuffer>;
}

/** Options of {@linkcode expandImageTokens}. */
export interface ExpandOptions {
  /** Id that stands for a picture. */
  imageToken: number;
  /** Tokens of each picture. */
  features: number;
  /** Id of padding. Default 0. */
  padToken?: number;
  /** Where padding goes: right for training, left for generation. Default right. */
  side?: "left" | "right";
}

/** Nothing is to be predicted. */
const IGNORE = -100;

/**
 * Repeats every image token once for each feature of its picture, and pads the rows to the longest (as
 * the LLaVA processor of Hugging Face transformers 4.45).
 *
 * @throws {RangeError} if there are no rows, or a row has not as many labels as tokens.
 */
export function expandImageTokens(
  rows: readonly TokenRow[],
  options: ExpandOptions,
): PaddedRows {
  const { imageToken, features, padToken = 0, side = "right" } = options;
  if (rows.length === 0) throw new RangeError("expandImageTokens: there are no rows");
  const expanded = rows.map(({ tokens, labels }, r) => {
    if (labels && labels.length !== tokens.length) {
      throw new RangeError(
        `expandImageTokens: row ${r} has ${tokens.length} tokens but ${labels.length} labels`,
      );
    }
    return tokens.flatMap((token, i) =>
      token === imageToken
        ? Array.from({ length: features }, () => ({ token, label: IGNORE }))
        : [{ token, label: labels?.[i] ?? IGNORE }]
    );
  });
  const length = Math.max(...expanded.map((row) => row.length)), size = rows.length * length;
  const padded: PaddedRows = {
    shape: [rows.length, length],
    tokens: new Int32Array(size).fill(padToken),
    mask: new Int32Array(size),
    labels: new Int32Array(size).fill(IGNORE),
    positions: new Int32Array(size),
  };
  expanded.forEach((row, r) => {
    const start = r * length + (side === "left" ? length - row.length : 0);
    row.forEach(({ token, label }, i) => {
      padded.tokens[start + i] = token;
      padded.mask[start + i] = 1;
      padded.labels[start + i] = label;
      padded.positions[start + i] = i;
    });
  });
  return padded;
}
