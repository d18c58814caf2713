/**
 * Samples without their pictures, packed: every text is stored once and named by a number.
 *
 * @module
 */

import type { Family, Question } from "./questions.ts";
import type { PictureKind } from "./scales.ts";

/** What is known of a sample besides its pixels. */
export interface Annotation {
  /** What the picture shows. */
  kind: PictureKind;
  /** Name of the background colour. */
  background: string;
  /** The caption. */
  caption: string;
  /** The phrase of each quadrant in reading order, "" where nothing lies. */
  cells: string[];
  /** The questions. */
  questions: Question[];
}

/** Columns of a {@linkcode AnnotationTable}, as stored in JSON. */
export interface TableJson {
  /** Per sample: kind, background, caption and four cells, as numbers of texts. */
  samples: number[];
  /** Per sample and one more: where its questions begin. */
  starts: number[];
  /** Per question: family, task, question and answer, as numbers of texts. */
  questions: number[];
}

const SAMPLE_FIELDS = 7, QUESTION_FIELDS = 4;

/** Texts and their numbers. */
export class TextTable {
  /** The texts in the order of their numbers. */
  readonly texts: string[];
  #numbers: Map<string, number>;

  /** @param texts the texts already numbered */
  constructor(texts: string[] = []) {
    this.texts = texts;
    this.#numbers = new Map(texts.map((text, number) => [text, number]));
  }

  /** The number of a text, a new one when it has none. */
  number(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      this.#numbers.set(text, number = this.texts.length);
      this.texts.push(text);
    }
    return number;
  }
}

/** The annotations of one split. */
export class AnnotationTable {
  #texts: readonly string[];
  #samples: Int32Array;
  #starts: Int32Array;
  #questions: Int32Array;

  /**
   * @param texts what the numbers stand for
   * @param json the columns
   * @throws TypeError when the columns do not fit together or name texts that do not exist
   */
  constructor(texts: readonly string[], json: TableJson) {
    this.#texts = texts;
    this.#samples = Int32Array.from(json.samples);
    this.#starts = Int32Array.from(json.starts);
    this.#questions = Int32Array.from(json.questions);
    const end = this.#starts[this.#starts.length - 1];
    const known = (number: number) => number >= 0 && number < texts.length;
    if (
      this.#samples.length !== SAMPLE_FIELDS * (this.#starts.length - 1) ||
      this.#questions.length !== QUESTION_FIELDS * end ||
      !this.#samples.every(known) || !this.#questions.every(known)
    ) throw new TypeError("the columns of a stored split do not fit together");
  }

  /** Packs annotations, given one after the other. */
  static pack(annotations: Iterable<Annotation>, texts: TextTable): TableJson {
    const json: TableJson = { samples: [], starts: [0], questions: [] };
    for (const { kind, background, caption, cells, questions } of annotations) {
      for (const text of [kind, background, caption, ...cells]) {
        json.samples.push(texts.number(text));
      }
      for (const { family, task, question, answer } of questions) {
        for (const text of [family, task, question, answer]) {
          json.questions.push(texts.number(text));
        }
      }
      json.starts.push(json.questions.length / QUESTION_FIELDS);
    }
    return json;
  }

  /** How many samples there are. */
  get length(): number {
    return this.#starts.length - 1;
  }

  /** What the picture of a sample shows. */
  kind(index: number): PictureKind {
    return this.#texts[this.#samples[SAMPLE_FIELDS * index]] as PictureKind;
  }

  /** How many questions a sample has. */
  questionCount(index: number): number {
    return this.#starts[index + 1] - this.#starts[index];
  }

  /** One question of a sample. */
  question(index: number, which: number): Question {
    const at = QUESTION_FIELDS * (this.#starts[index] + which);
    const [family, task, question, answer] = [0, 1, 2, 3].map((field) =>
      this.#texts[this.#questions[at + field]]
    );
    return { family: family as Family, task, question, answer };
  }

  /** Everything about a sample. */
  annotation(index: number): Annotation {
    const at = SAMPLE_FIELDS * index;
    const text = (field: number) => this.#texts[this.#samples[at + field]];
    return {
      kind: this.kind(index),
      background: text(1),
      caption: text(2),
      cells: [text(3), text(4), text(5), text(6)],
      questions: Array.from(
        { length: this.questionCount(index) },
        (_, which) => this.question(index, which),
      ),
    };
  }
}
