/**
 * Sound and sight: a digit is spoken beside a picture of squares, and questions ask about the one, the
 * other, both, or neither. All of it is made by code from a seed.
 */
import { Random } from "../../tensor/random.ts";
import { packSlots, type Segment, type TokenBatch } from "../pack.ts";
import { WordTokenizer } from "../tokenizer.ts";
import { DIGIT_WORDS, spokenDigit, voiceOf } from "./digits.ts";
import { type LogMel, logMel } from "./log_mel.ts";
import { countingPicture, GROUNDS, PICTURE_SIDE } from "./pictures.ts";

/** What a scene shows: sound and picture, one of them, or none. */
export type SceneKind = "both" | "picture" | "sound" | "text";

/** Split of the scenes; `test` has voices that `train` has not. */
export type SceneSplit = "train" | "test";

/** Kinds of questions, and what must be there to answer them. */
export const QUESTION_KINDS = {
  /** Which digit was spoken: the sound alone. */
  digit: { question: "which digit was spoken ?", needs: ["audio"] },
  /** How many squares: the picture alone. */
  count: { question: "how many squares ?", needs: ["image"] },
  /** Colour of the ground: the picture alone. */
  color: { question: "which color is the picture ?", needs: ["image"] },
  /** Whether the spoken digit is larger than the number of squares: both. */
  more: { question: "is the spoken digit larger ?", needs: ["image", "audio"] },
  /** Spoken digit and squares together: both. */
  sum: { question: "how many together ?", needs: ["image", "audio"] },
  /** The larger one of two digits in words: the text alone. */
  larger: { question: "which is more , A or B ?", needs: [] },
} as const satisfies Record<string, { question: string; needs: readonly string[] }>;

/** A kind of question. */
export type QuestionKind = keyof typeof QUESTION_KINDS;

/** A question about a scene. */
export interface SceneQuestion {
  /** Its kind. */
  readonly kind: QuestionKind;
  /** The question in words of the vocabulary. */
  readonly question: string;
  /** The answer, one word. */
  readonly answer: string;
}

/** One scene. */
export interface Scene {
  /** Its name, such as `test 3`. */
  readonly id: string;
  /** What it shows. */
  readonly kind: SceneKind;
  /** The spoken digit, 0 to 9. */
  readonly digit: number;
  /** Number of squares, 0 to 9. */
  readonly count: number;
  /** Name of the ground's colour. */
  readonly color: string;
  /** Number of the voice in its split. */
  readonly voice: number;
  /** Samples of the sound, 8000 a second. */
  readonly wave: Float32Array;
  /** What the model hears of it. */
  readonly sound: LogMel;
  /** RGB bytes of the picture, 32 × 32. */
  readonly picture: Uint8Array;
  /** All questions that can be answered from what the scene shows. */
  readonly questions: readonly SceneQuestion[];
}

/** Sizes and seed of the data. */
export interface SoundAndSightOptions {
  /** Seed of everything. Default 7. */
  readonly seed?: number;
  /** Scenes of each split. Default 2000 and 400. */
  readonly train?: number;
  /** Scenes of the test split. */
  readonly test?: number;
  /** Voices of each split. Default 24 and 12. */
  readonly voices?: Readonly<Record<SceneSplit, number>>;
}

/** Frames of a clip's spectrogram, its mel bands, and frames that make one token. */
export const CLIP_FRAMES = 48, CLIP_BANDS = 20, FRAMES_PER_TOKEN = 4;

/** A batch of scenes. */
export interface SceneBatch extends TokenBatch {
  /** `[size, 3, 32, 32]`, from -1 to 1; zeros where a scene has no picture. */
  readonly pixels: Float32Array;
  /** `[size, frames, bands]`, from -1 to 1; zeros where a scene has no sound. */
  readonly sound: Float32Array;
  /** Where each question is answered: row, position of the label, and the question. */
  readonly asked: readonly { readonly row: number; readonly at: number; question: SceneQuestion }[];
}

/** How a batch is packed. */
export interface SceneBatchOptions {
  /** Positions per row, a multiple of 8. */
  readonly length: number;
  /** Modality of each slot, 1 for the picture and 2 for the sound: `slotsOf` of the models. */
  readonly slots: readonly number[];
  /** Take these away from every scene, though its questions stay: what a blind or deaf model sees. */
  readonly without?: readonly ("image" | "audio")[];
  /** Questions of these kinds only. Default all. */
  readonly kinds?: readonly QuestionKind[];
}

/** Modality numbers of slots. */
const MODALITIES = { image: 1, audio: 2 } as const;

/** Scenes, made when they are asked for, and their vocabulary. */
export class SoundAndSight {
  /** Scenes of each split. */
  readonly sizes: Readonly<Record<SceneSplit, number>>;
  /** Words of questions and answers. */
  readonly tokenizer: WordTokenizer;
  readonly #random: Random;
  readonly #voices: Readonly<Record<SceneSplit, number>>;
  readonly #made = new Map<string, Scene>();

  /**
   * Makes the vocabulary; scenes are made when they are asked for.
   *
   * @throws {RangeError} if a size is no whole number of at least 1.
   */
  constructor(options: SoundAndSightOptions = {}) {
    const { seed = 7, train = 2000, test = 400, voices = { train: 24, test: 12 } } = options;
    for (const size of [train, test, voices.train, voices.test]) {
      if (!Number.isSafeInteger(size) || size < 1) {
        throw new RangeError(
          `sound and sight: ${size} scenes or voices must be a whole number of at least 1`,
        );
      }
    }
    this.sizes = { train, test };
    this.#voices = voices;
    this.#random = new Random(seed, "sound and sight");
    const texts = Object.values(QUESTION_KINDS).flatMap(({ question }) => question.split(" "));
    this.tokenizer = new WordTokenizer([
      ...texts.filter((word) => word !== "A" && word !== "B"),
      ...NUMBER_WORDS,
      ...Object.keys(GROUNDS),
      "yes",
      "no",
    ]);
  }

  /**
   * A scene; the same number gives the same scene. Scenes that were made are kept.
   *
   * Digits are spread evenly; the number of squares is 1 to 4 more or less, so that neither alone tells
   * much of which is larger (`sceneFloors` counts how much).
   *
   * @throws {RangeError} if the split has no such scene.
   */
  scene(split: SceneSplit, number: number): Scene {
    if (!(Number.isInteger(number) && number >= 0 && number < this.sizes[split])) {
      throw new RangeError(`${split} has scenes 0 to ${this.sizes[split] - 1}, got ${number}`);
    }
    const id = `${split} ${number}`;
    const known = this.#made.get(id);
    if (known) return known;
    const random = this.#random.fork(id);
    const digit = random.int(10), count = countNear(digit, random);
    const color = random.pick(Object.keys(GROUNDS));
    const voice = random.int(this.#voices[split]);
    const kind = KINDS[number % KINDS.length];
    const wave = once(() =>
      spokenDigit(digit, voiceOf(this.#random, split, voice), random.fork("sound"))
    );
    const sound = once(() => logMel(wave()));
    const picture = once(() => countingPicture(count, color, random.fork("picture")));
    const scene: Scene = {
      id,
      kind,
      digit,
      count,
      color,
      voice,
      get wave() {
        return wave();
      },
      get sound() {
        return sound();
      },
      get picture() {
        return picture();
      },
      questions: questionsOf({ kind, digit, count, color }, random.fork("questions")),
    };
    this.#made.set(id, scene);
    return scene;
  }

  /** Packs scenes into a batch: picture slots, sound slots, then all questions of each. */
  batch(scenes: readonly Scene[], options: SceneBatchOptions): SceneBatch {
    const { length, slots, without = [], kinds } = options, { tokenizer } = this;
    const area = PICTURE_SIDE ** 2, cells = CLIP_FRAMES * CLIP_BANDS;
    const pixels = new Float32Array(scenes.length * 3 * area);
    const sound = new Float32Array(scenes.length * cells);
    const asked: { row: number; at: number; question: SceneQuestion }[] = [];
    const rows = scenes.map((scene, row) => {
      const has = sensesOf(scene.kind).filter((sense) => !without.includes(sense));
      if (has.includes("image")) {
        scene.picture.forEach((byte, i) => {
          pixels[row * 3 * area + (i % 3) * area + Math.floor(i / 3)] = byte / 127.5 - 1;
        });
      }
      if (has.includes("audio")) sound.set(scene.sound.values, row * cells);
      let at = slots.length;
      const questions = scene.questions.filter(({ kind }) => !kinds || kinds.includes(kind));
      const segments = questions.map((question): Segment => {
        const prompt = tokenizer.encode(question.question);
        asked.push({ row, at: at + prompt.length - 1, question });
        at += prompt.length + 1;
        return { prompt, answer: tokenizer.encode(question.answer) };
      });
      const absent = (["image", "audio"] as const).filter((sense) => !has.includes(sense))
        .map((sense) => MODALITIES[sense]);
      return { id: scene.id, segments, absent };
    });
    return { ...packSlots(rows, { tokenizer, length, slots }), pixels, sound, asked };
  }
}

/** A value that is made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Names of the numbers from 0 to 18. */
const NUMBER_WORDS: readonly string[] = [
  ...DIGIT_WORDS,
  ..."ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen".split(" "),
];

/** A number of squares from 0 to 9 that is 1 to 4 more or less than a digit. */
function countNear(digit: number, random: Random): number {
  for (;;) {
    const count = digit + (random.bool() ? 1 : -1) * (1 + random.int(4));
    if (count >= 0 && count <= 9) return count;
  }
}

/** Half of the scenes have both; the others lack one or both. */
const KINDS: readonly SceneKind[] = ["both", "picture", "both", "sound", "both", "text"];

/** Modalities besides text that a scene has. */
function sensesOf(kind: SceneKind): ("image" | "audio")[] {
  return [
    ...kind === "both" || kind === "picture" ? ["image" as const] : [],
    ...kind === "both" || kind === "sound" ? ["audio" as const] : [],
  ];
}

function questionsOf(
  { kind, digit, count, color }: Pick<Scene, "kind" | "digit" | "count" | "color">,
  random: Random,
): SceneQuestion[] {
  const senses: readonly string[] = sensesOf(kind);
  const ask = (kind: QuestionKind, answer: string): SceneQuestion[] =>
    QUESTION_KINDS[kind].needs.every((need) => senses.includes(need))
      ? [{ kind, question: QUESTION_KINDS[kind].question, answer }]
      : [];
  return [
    ...ask("digit", DIGIT_WORDS[digit]),
    ...ask("count", DIGIT_WORDS[count]),
    ...ask("color", color),
    ...ask("more", digit > count ? "yes" : "no"),
    ...ask("sum", NUMBER_WORDS[digit + count]),
    ...Array.from({ length: kind === "text" ? 3 : 1 }, () => largerQuestion(random)),
  ];
}

function largerQuestion(random: Random): SceneQuestion {
  const a = random.int(10), b = (a + 1 + random.int(9)) % 10;
  const question = QUESTION_KINDS.larger.question
    .replace("A", DIGIT_WORDS[a]).replace("B", DIGIT_WORDS[b]);
  return { kind: "larger", question, answer: DIGIT_WORDS[Math.max(a, b)] };
}
