/**
 * The data set as its users see it.
 *
 * @module
 */

import { WordTokenizer } from "../tokenizer.ts";
import { contactSheet, type ContactSheetOptions } from "./contact_sheet.ts";
import { type BlindFloors, blindFloors } from "./floors.ts";
import { FAMILIES, type Family, type Question } from "./questions.ts";
import { type PictureKind, type ScaleName, type Split, splitNamed } from "./scales.ts";
import { type Annotation, AnnotationTable, type TableJson } from "./table.ts";

/** A picture with its caption and questions. */
export interface Sample extends Annotation {
  /** Scale, split and index, as in "tiny/train/17". */
  id: string;
  /** Its split. */
  split: Split;
  /**
   * The picture: `imageSize * imageSize * 3` RGB bytes, row by row (a view, not a copy); empty in
   * the split "text".
   */
  image: Uint8Array;
}

/** The questions of one family in one split. */
export interface Benchmark {
  /** Split and family, as in "val/ocr". */
  name: string;
  /** The family. */
  family: Family;
  /** The split. */
  split: Split;
  /** Its questions: number of the sample, and of the question within the sample. */
  questions: readonly { sample: number; question: number }[];
}

/** What is stored of a data set besides pixels. */
export interface Metadata {
  /** What the data was made from; a cache made from anything else is not used. */
  recipe: string;
  /** The scale. */
  scale: ScaleName;
  /** Side of a picture in pixels. */
  imageSize: number;
  /** The vocabulary. */
  words: string[];
  /** The facts in words alone. */
  facts: Question[];
  /** The texts that the columns name by number. */
  texts: string[];
  /** The columns of each split. */
  splits: Record<Split, TableJson>;
}

/** Splits with pictures that models are tested on. */
const TEST_SPLITS = ["val", "comp", "style"] as const;

/**
 * emoji-VQA: pictures of emoji, flags, printed text and handwriting, with captions and questions
 * in four families.
 *
 * Made by {@linkcode emojiVqa}. Nothing is downloaded but npm packages, and nothing is random: the
 * same scale, split and index give the same sample on every machine.
 */
export class EmojiVqa {
  /** The scale's name. */
  readonly scale: ScaleName;
  /** Side of a picture in pixels. */
  readonly imageSize: number;
  /** How many samples each split has. */
  readonly sizes: Readonly<Record<Split, number>>;
  /** The tokenizer of the scale's vocabulary; independent of the sizes of the splits. */
  readonly tokenizer: WordTokenizer;
  /** Facts in words alone, on every country and thing, held-out ones included. */
  readonly facts: readonly Question[];
  /** The families of questions. */
  readonly families: readonly Family[] = FAMILIES;
  #tables: Record<Split, AnnotationTable>;
  #pixels: Uint8Array;
  #pixelStart: Record<Split, number>;
  #benchmarks: readonly Benchmark[] | undefined;

  /**
   * Use {@linkcode emojiVqa}.
   *
   * @throws TypeError when the parts do not fit together
   */
  constructor(metadata: Metadata, pixels: Uint8Array) {
    const { scale, imageSize, texts, splits } = metadata;
    this.scale = scale;
    this.imageSize = imageSize;
    this.facts = metadata.facts;
    this.tokenizer = new WordTokenizer(metadata.words);
    const perSplit = <T>(value: (split: Split) => T) => ({
      train: value("train"),
      val: value("val"),
      comp: value("comp"),
      style: value("style"),
      text: value("text"),
    });
    this.#tables = perSplit((split) => new AnnotationTable(texts, splits[split]));
    this.sizes = perSplit((split) => this.#tables[split].length);
    this.#pixels = pixels;
    let start = 0;
    this.#pixelStart = perSplit((split) => {
      const first = start;
      if (split !== "text") start += this.sizes[split] * this.#imageBytes;
      return first;
    });
    if (start !== pixels.length) {
      throw new TypeError(`${pixels.length} bytes of pixels, but the samples need ${start}`);
    }
  }

  get #imageBytes(): number {
    return 3 * this.imageSize * this.imageSize;
  }

  #table(split: string, index: number): AnnotationTable {
    const table = this.#tables[splitNamed(split)];
    if (!Number.isInteger(index) || index < 0 || index >= table.length) {
      throw new RangeError(
        `no sample ${index} in split "${split}", which has ${table.length} samples`,
      );
    }
    return table;
  }

  /**
   * A sample.
   *
   * @throws RangeError when there is no such split or index
   */
  sample(split: Split, index: number): Sample {
    const annotation = this.#table(split, index).annotation(index);
    const start = this.#pixelStart[split] + index * this.#imageBytes;
    const image = split === "text"
      ? new Uint8Array(0)
      : this.#pixels.subarray(start, start + this.#imageBytes);
    return { id: `${this.scale}/${split}/${index}`, split, image, ...annotation };
  }

  /** Several samples of a split; errors as {@linkcode EmojiVqa.sample}. */
  samples(split: Split, indices: Iterable<number>): Sample[] {
    return Array.from(indices, (index) => this.sample(split, index));
  }

  /**
   * What the picture of each sample of a split shows, for weighted sampling.
   *
   * @throws RangeError when there is no such split
   */
  kinds(split: Split): PictureKind[] {
    const table = this.#tables[splitNamed(split)];
    return Array.from({ length: table.length }, (_, index) => table.kind(index));
  }

  /**
   * All questions of a split in order, with the numbers of sample and question.
   *
   * @throws RangeError when there is no such split
   */
  *questions(
    split: Split,
  ): Generator<{ sample: number; question: number; asked: Question }, void, void> {
    const table = this.#tables[splitNamed(split)];
    for (let sample = 0; sample < table.length; sample++) {
      for (let question = 0; question < table.questionCount(sample); question++) {
        yield { sample, question, asked: table.question(sample, question) };
      }
    }
  }

  /**
   * What a model reaches on a split that learned nothing but the most frequent answer to each
   * question of the training split. Print it beside every accuracy.
   *
   * @throws RangeError when there is no such split
   */
  blindFloors(split: Split): BlindFloors {
    const asked = (name: Split) => this.questions(name).map(({ asked }) => asked);
    return blindFloors(asked("train"), asked(split));
  }

  /** The questions of each test split by family: twelve benchmarks, "val/general" to "style/hallucination". */
  get benchmarks(): readonly Benchmark[] {
    this.#benchmarks ??= TEST_SPLITS.flatMap((split) => {
      const all = [...this.questions(split)];
      return FAMILIES.map((family) => ({
        name: `${split}/${family}`,
        family,
        split,
        questions: all.filter(({ asked }) => asked.family === family)
          .map(({ sample, question }) => ({ sample, question })),
      }));
    });
    return this.#benchmarks;
  }

  /**
   * Samples side by side as a PNG file, with captions and questions when asked for.
   *
   * @throws RangeError when a sample does not exist or a number is not a positive whole one
   */
  contactSheet(options: ContactSheetOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return contactSheet(this, options);
  }
}
