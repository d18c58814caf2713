/** The books of a cached model: which token, or padding, lies in which place of its cache. */
import type { Tensor } from "../tensor/mod.ts";

/** Rows side by side: what the model is told about every position. */
export interface RowNumbers {
  /** Positions of a row, padding among them. */
  readonly length: number;
  /** `[B × length]`: 0 for padding. */
  readonly mask: readonly number[];
  /** `[B × length]`: 1 image, 0 text. */
  readonly modality: readonly number[];
  /** `[B × length]` */
  readonly positions: readonly number[];
}

/** What has been read, row by row. */
export class ReadRows {
  /** Places taken, in every row. */
  used = 0;
  /** Number of tokens of every row. */
  readonly lengths: number[];
  /** Of every row, what lies in each place: 1, or 0 for padding. */
  readonly #masks: number[][];
  readonly #modalities: number[][];
  /** Of a single row: its tokens, the place of each, and its pictures. */
  readonly #tokens: number[] = [];
  readonly #places: number[] = [];
  #images: Tensor[] = [];
  readonly #imageToken: number | undefined;

  /** Nothing read. @param batch number of rows @param imageToken stands for an image feature */
  constructor(batch: number, imageToken: number | undefined) {
    this.lengths = new Array(batch).fill(0);
    this.#masks = this.lengths.map(() => []);
    this.#modalities = this.lengths.map(() => []);
    this.#imageToken = imageToken;
  }

  /** Tokens of a single row. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Number of pictures of a single row. */
  get imageCount(): number {
    return this.#images.length;
  }

  /** The numbers of rows that go on from here, each given as a list. */
  next(masks: readonly (readonly number[])[], modalities: readonly (readonly number[])[]) {
    return numbersOf(this.lengths, masks, modalities);
  }

  /** The numbers of everything, from the beginning. */
  all(): RowNumbers {
    return numbersOf(this.lengths.map(() => 0), this.#masks, this.#modalities);
  }

  /** The lengths that rows will have. */
  grown({ mask, length }: RowNumbers): number[] {
    return this.lengths.map((n, b) => n + sum(mask.slice(b * length, (b + 1) * length)));
  }

  /** Notes what lies in the next places. */
  add(rows: RowNumbers): void {
    const { length, mask, modality } = rows;
    this.lengths.splice(0, this.lengths.length, ...this.grown(rows));
    this.#masks.forEach((list, b) => list.push(...mask.slice(b * length, (b + 1) * length)));
    this.#modalities.forEach((l, b) => l.push(...modality.slice(b * length, (b + 1) * length)));
    this.used += length;
  }

  /** Notes the tokens of a single row in the last places, and their pictures. */
  addTokens(tokens: readonly number[], images: readonly Tensor[]): void {
    tokens.forEach((token, i) => {
      this.#tokens.push(token);
      this.#places.push(this.used - tokens.length + i);
    });
    this.#images.push(...images);
  }

  /**
   * How many first tokens of a text a single row has already, with the same pictures; all but one of
   * them at most, and no part of a picture.
   */
  common(tokens: readonly number[], images: readonly Tensor[]): number {
    const isImage = (at: number) => tokens[at] === this.#imageToken;
    let same = 0;
    while (same < tokens.length - 1 && tokens[same] === this.#tokens[same]) same++;
    const other = images.findIndex((t, i) => i < this.#images.length && t !== this.#images[i]);
    if (other >= 0) {
      const kept = featureCount(images.slice(0, other));
      same = Math.min(same, [...tokens.keys()].filter(isImage)[kept]);
    }
    while (same > 0 && isImage(same) && isImage(same - 1)) same--;
    return same;
  }

  /** Places taken by the first tokens of a single row, with the padding among them. */
  placesOf(count: number): number {
    return count === 0 ? 0 : this.#places[count - 1] + 1;
  }

  /** Keeps the first tokens of a single row, or 0 of any number of rows. */
  keep(count: number): void {
    this.used = this.placesOf(count);
    for (const list of [...this.#masks, ...this.#modalities]) list.length = this.used;
    this.lengths.fill(count);
    this.#tokens.length = count;
    this.#places.length = count;
    const slots = this.#tokens.filter((token) => token === this.#imageToken).length;
    let seen = 0;
    this.#images = this.#images.filter((t) => (seen += t.shape[0]) <= slots);
  }
}

function numbersOf(
  lengths: readonly number[],
  masks: readonly (readonly number[])[],
  modalities: readonly (readonly number[])[],
): RowNumbers {
  const positions = masks.flatMap((mask, b) => {
    let at = lengths[b];
    return mask.map((real) => real ? at++ : 0);
  });
  return { length: masks[0].length, mask: masks.flat(), modality: modalities.flat(), positions };
}

/** Features of all pictures together. */
export function featureCount(images: readonly Tensor[]): number {
  return sum(images.map((t) => t.shape[0]));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
