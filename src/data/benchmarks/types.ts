/** What all benchmarks have in common. */

/** A picture of a benchmark: the path of its file, or the bytes of one. */
export type BenchmarkImage = string | Uint8Array<ArrayBuffer>;

/** A question of a benchmark. */
export interface BenchmarkRow {
  /** Distinguishes it from all others of the benchmark. */
  readonly id: string;
  /** Pictures; none for a question without. */
  readonly images: readonly BenchmarkImage[];
  /** The question alone. */
  readonly question: string;
  /** Texts to choose from, A first; none for an open question. */
  readonly choices?: readonly string[];
  /** Right answers: a letter where there are choices; none where only a server knows them. */
  readonly answers: readonly string[];
  /** What prompts and metrics need besides: category, split, pair. */
  readonly meta: Readonly<Record<string, string | number | boolean>>;
}

/** An answer of a model. */
export interface Prediction {
  /** The question; its pictures are not needed any more. */
  readonly row: BenchmarkRow;
  /** The answer as the model gave it. */
  readonly text: string;
  /** What a judge said of it, each time it was asked; missing where none was. */
  readonly verdicts?: readonly string[];
}

/** How the published code asks a judge; whoever asks one may do otherwise. */
export interface JudgeOptions {
  /** Temperature of the sampling. */
  readonly temperature: number;
  /** Most tokens of the reply. */
  readonly maxTokens: number;
}

/** Another model that reads answers, such as GPT-4: its reply to a prompt. */
export type Judge = (prompt: string, options: JudgeOptions) => Promise<string>;

/** What a judge is asked. */
export interface JudgeRequest extends JudgeOptions {
  /** The text. */
  readonly prompt: string;
}

/** What a benchmark needs a judge for. */
export interface JudgeSpec {
  /** Whether there are no scores without it. */
  readonly needed: boolean;
  /** What to do without one: a part of a sentence, for the error. */
  readonly remedy: string;
  /** What it is asked about an answer and its replies so far; undefined if nothing, or nothing more. */
  readonly ask: (prediction: Prediction) => JudgeRequest | undefined;
}

/** A number that a benchmark gives. */
export interface Score {
  /** Name, such as `accuracy` or `F1 popular`. */
  readonly metric: string;
  /** Value: percent, but points of MME. */
  readonly value: number;
  /** How many questions, pairs or pictures it is the mean of. */
  readonly n: number;
  /** What blind guessing reaches; missing where guessing reaches nothing to speak of. */
  readonly chance?: number;
}

/** Options of a benchmark's reader. */
export interface ReadOptions {
  /** Folder of pictures, where it is not beside the questions. */
  images?: string;
  /** File of answers (VQAv2), where it is not beside the questions. */
  annotations?: string;
  /** File of texts found in the pictures (TextVQA), to be named in the prompt. */
  ocr?: string;
  /** Split (ScienceQA). Default `test`. */
  split?: string;
  /** Whether questions without a picture are asked, too (ScienceQA). Default false. */
  withoutPictures?: boolean;
  /** Whether each question is asked once for each rotation of its choices (TSV files). */
  circular?: boolean;
}

/** A benchmark: data that say how to read, ask and score it. */
export interface BenchmarkSpec {
  /** Short name. */
  readonly name: string;
  /** Name in print. */
  readonly title: string;
  /** The files that `read` takes. */
  readonly files: string;
  /** Where prompt and metric are taken from. */
  readonly source: string;
  /**
   * The questions of a file or folder.
   *
   * @throws {Deno.errors.NotFound} if a file is missing.
   * @throws {SyntaxError} if a file or a row of it is malformed.
   */
  readonly read: (path: string, options?: ReadOptions) => AsyncIterable<BenchmarkRow>;
  /** What the model is asked. Pictures stand before it unless it says `<image>` itself. */
  readonly prompt: (row: BenchmarkRow) => string;
  /**
   * Numbers for a list of answers, the one that is usually quoted first.
   *
   * @throws {RangeError} if there are none.
   */
  readonly score: (predictions: readonly Prediction[]) => Score[];
  /** What a judge is needed for; missing where none is. */
  readonly judge?: JudgeSpec;
}
