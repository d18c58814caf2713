/** Writing text: prompts in, tokens and pieces of text out, one step after the other. */
import { Random, type Tensor } from "../tensor/mod.ts";
import { CachedLanguage } from "./cached_language.ts";
import {
  checkOptionNames,
  checkSampling,
  sampleToken,
  SAMPLING_OPTIONS,
  type SamplingOptions,
} from "./sampling.ts";
import { expandImages, promptTokens, seeImages, type TextModel } from "./text_model.ts";
import { StopStrings, TextPieces } from "./text_stream.ts";

/** What a model is asked to go on with: text or tokens, and pictures. */
export interface Prompt {
  /** Text, with `<image>` where a picture goes. */
  readonly text?: string;
  /** Tokens in place of text, with one image token for every picture, or one for every feature. */
  readonly tokens?: readonly number[];
  /** Pictures as the model's processor makes them, `[3, H, W]` each. */
  readonly images?: readonly Tensor[];
}

/** Options of {@linkcode generate}. */
export interface GenerateOptions extends SamplingOptions {
  /** Most tokens of an answer. Default 256, or what the context leaves. */
  maxTokens?: number;
  /** Strings that end an answer; neither they nor what follows is given. Default none. */
  stop?: readonly string[];
  /** Tokens that end an answer. Default the model's. */
  endIds?: readonly number[];
  /** Ends the answers where they are when it is aborted. */
  signal?: AbortSignal;
}

/** Why an answer ended. */
export type EndReason = "end token" | "stop string" | "length" | "aborted";

/** An answer. */
export interface Generated {
  /** Its tokens, without the one that ended it. */
  readonly tokens: readonly number[];
  /** Its text; empty if the model has no tokenizer. */
  readonly text: string;
  /** Why it ended. */
  readonly reason: EndReason;
}

/** What one step adds to an answer. */
export interface GeneratedPiece {
  /** The token; undefined once the answer has ended. */
  readonly token: number | undefined;
  /** Text that is certain now: often that of the token, sometimes none, sometimes of several. */
  readonly text: string;
}

const MAX_TOKENS = 256;
/** Capacities are multiples of this, so that prompts of about one length share their kernels. */
const CAPACITY_STEP = 64;

/**
 * Checks the options of generation.
 *
 * @throws {RangeError} on unknown names (the nearest is offered) or numbers out of range.
 */
export function checkGenerate(options: GenerateOptions): void {
  checkOptionNames(options, [...SAMPLING_OPTIONS, "maxTokens", "stop", "endIds", "signal"]);
  checkSampling(options);
  const { maxTokens } = options;
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens > 0)) {
    throw new RangeError(`maxTokens = ${maxTokens} must be a positive whole number`);
  }
}

/**
 * How many tokens an answer may have.
 *
 * @param length tokens of the prompt
 * @throws {RangeError} if the prompt and as many tokens as were asked for are more than the model
 * reads.
 */
export function answerLength(
  { contextLength = Infinity }: Pick<TextModel, "contextLength">,
  length: number,
  maxTokens: number | undefined,
): number {
  const wanted = maxTokens ?? Math.min(MAX_TOKENS, contextLength - length);
  if (length + wanted > contextLength || wanted < 1) {
    throw new RangeError(
      `a prompt of ${length} tokens and ${Math.max(1, wanted)} new ones are more than the ` +
        `${contextLength} that the model reads: shorten the prompt, or ask for fewer tokens`,
    );
  }
  return wanted;
}

/** One answer on its way. */
class Answer {
  readonly tokens: number[] = [];
  text = "";
  reason: EndReason | undefined;
  readonly #options: GenerateOptions;
  readonly #most: number;
  readonly #ends: ReadonlySet<number>;
  readonly #random: Random;
  readonly #earlier: Set<number>;
  readonly #pieces: TextPieces | undefined;
  readonly #stops: StopStrings;

  constructor(
    model: TextModel,
    options: GenerateOptions,
    row: number,
    prompt: readonly number[],
    most: number,
  ) {
    this.#options = options;
    this.#most = most;
    this.#ends = new Set(options.endIds ?? model.endIds);
    // A stream for each row: what it draws does not depend on the others.
    this.#random = new Random(options.seed ?? 0, `row ${row}`);
    this.#earlier = new Set(prompt);
    this.#pieces = model.tokenizer && new TextPieces(model.tokenizer);
    this.#stops = new StopStrings(options.stop ?? []);
  }

  /** Chooses the next token. */
  add(logits: Float32Array): GeneratedPiece {
    if (this.reason) return { token: undefined, text: "" };
    const token = sampleToken(logits, this.#options, this.#random, this.#earlier);
    if (this.#ends.has(token)) return { token: undefined, text: this.end("end token") };
    this.#earlier.add(token);
    this.tokens.push(token);
    let text = this.#stops.add(this.#pieces?.add(token) ?? "");
    this.text += text;
    if (this.#stops.found !== undefined) this.reason = "stop string";
    else if (this.tokens.length === this.#most) text += this.end("length");
    return { token, text };
  }

  /** Ends the answer. @returns the text that was held back */
  end(reason: EndReason): string {
    this.reason = reason;
    const text = this.#stops.add(this.#pieces?.end() ?? "") + this.#stops.end();
    if (this.#stops.found !== undefined) this.reason = "stop string";
    this.text += text;
    return text;
  }

  get result(): Generated {
    return { tokens: this.tokens, text: this.text, reason: this.reason! };
  }
}

/**
 * Goes on from what a cached model has read, one token at a time.
 *
 * @param logits what may come first, as the model said when it had read `prompts`
 * @param maxTokens most tokens of each answer
 * @returns for every step what it adds to each row; in the end the answers
 */
export async function* writeOn(
  model: TextModel,
  cached: CachedLanguage,
  logits: readonly Float32Array[],
  prompts: readonly (readonly number[])[],
  maxTokens: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<readonly GeneratedPiece[], Generated[]> {
  const answers = prompts.map((p, row) => new Answer(model, options, row, p, maxTokens[row]));
  while (true) {
    if (options.signal?.aborted) {
      yield answers.map((a) => ({ token: undefined, text: a.reason ? "" : a.end("aborted") }));
      break;
    }
    yield answers.map((answer, row) => answer.add(logits[row]));
    if (answers.every(({ reason }) => reason)) break;
    logits = await cached.step(
      answers.map(({ reason, tokens }) => reason ? undefined : tokens[tokens.length - 1]),
    );
  }
  return answers.map(({ result }) => result);
}

/** A prompt as the model reads it. */
interface Ready {
  readonly tokens: readonly number[];
  readonly features: readonly Tensor[];
}

async function makeReady(model: TextModel, prompt: Prompt): Promise<Ready> {
  const { text, tokens, images = [] } = prompt;
  if ((text === undefined) === (tokens === undefined)) {
    throw new TypeError("a prompt is either text or tokens");
  }
  const features = await seeImages(model, images);
  if (tokens === undefined) return { tokens: promptTokens(model, text!, features), features };
  const slots = tokens.filter((token) => token === model.image?.token).length;
  if (slots !== features.length) return { tokens, features };
  return { tokens: expandImages(tokens, model.image?.token ?? -1, features), features };
}

/**
 * Writes an answer to each prompt of a batch, step by step. Shorter prompts are padded on the left;
 * every row ends on its own.
 *
 * @returns for every step what it adds to each row; in the end the answers
 * @throws {RangeError} at once on unknown options, a prompt without tokens, or one that with its
 * answer is longer than the model reads. @throws {TypeError} on text without a tokenizer, or pictures
 * for a model that reads text only.
 */
export async function* generateSteps(
  model: TextModel,
  prompts: readonly Prompt[],
  options: GenerateOptions = {},
): AsyncGenerator<readonly GeneratedPiece[], Generated[]> {
  checkGenerate(options);
  if (prompts.length === 0) return [];
  const ready: Ready[] = [];
  try {
    for (const prompt of prompts) ready.push(await makeReady(model, prompt));
    const rows = ready.map(({ tokens }) => tokens);
    const most = rows.map((tokens) => answerLength(model, tokens.length, options.maxTokens));
    const longest = Math.max(...rows.map((tokens) => tokens.length));
    using cached = await CachedLanguage.open(model, {
      batch: rows.length,
      capacity: Math.ceil((longest + Math.max(...most)) / CAPACITY_STEP) * CAPACITY_STEP,
      imageToken: model.image?.token,
    });
    const images = ready.flatMap(({ features }) => features);
    const logits = await cached.read(rows, images, Math.max(...most));
    return yield* writeOn(model, cached, logits, rows, most, options);
  } finally {
    for (const { features } of ready) for (const t of features) t.dispose();
  }
}

/**
 * Writes an answer to each prompt of a batch; see {@linkcode generateSteps}.
 *
 * @example
 * ```ts ignore
 * import { generate, lab, loadPublished, textModel } from "@moiie/lab";
 * await lab();
 * const model = textModel(await loadPublished("Phi-3-mini-4k-instruct"));
 * const [{ text }] = await generate(model, [{ text: "The capital of France is" }]);
 * ```
 */
export async function generate(
  model: TextModel,
  prompts: readonly Prompt[],
  options: GenerateOptions = {},
): Promise<Generated[]> {
  const steps = generateSteps(model, prompts, options);
  while (true) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
}

/**
 * Writes one answer, its text piece by piece as it comes; see {@linkcode generateSteps}.
 *
 * @returns pieces of text; in the end the answer
 */
export async function* streamText(
  model: TextModel,
  prompt: Prompt,
  options: GenerateOptions = {},
): AsyncGenerator<string, Generated> {
  const [answer] = yield* textOf(generateSteps(model, [prompt], options));
  return answer;
}

/** The pieces of text of the only row. */
export async function* textOf(
  steps: AsyncGenerator<readonly GeneratedPiece[], Generated[]>,
): AsyncGenerator<string, Generated[]> {
  try {
    while (true) {
      const { done, value } = await steps.next();
      if (done) return value;
      if (value[0].text !== "") yield value[0].text;
    }
  } finally {
    await steps.return([]); // ends it when the reader leaves early
  }
}
