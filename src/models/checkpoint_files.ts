/**
 * The small files beside published weights, read with their types checked: `config.json`,
 * `generation_config.json`, `tokenizer.json` with `tokenizer_config.json`, `preprocessor_config.json`.
 *
 * @module
 */
import type { PublishedConfig } from "./published_config.ts";

/** Longest JSON file that is read, in bytes; a tokenizer of 256,000 words has about 35 million. */
const LONGEST_JSON = 256 * 2 ** 20;

/** How a checkpoint wants to be sampled from: the fields of a `generation_config.json` in use here. */
export interface GenerationConfig {
  /** Token that a text begins with. */
  readonly beginId?: number;
  /** Tokens that end an answer; empty if the file names none. */
  readonly endIds: readonly number[];
  /** Token that fills rows up. */
  readonly padId?: number;
  /** Whether to draw tokens at random. Default false. */
  readonly sample: boolean;
  /** Divisor of the logits. */
  readonly temperature?: number;
  /** Share of probability that tokens are drawn from. */
  readonly topP?: number;
  /** Number of tokens that are drawn from. */
  readonly topK?: number;
  /** Most tokens of an answer. */
  readonly maxNewTokens?: number;
}

/** The two files of a tokenizer. */
export interface TokenizerFiles {
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: PublishedConfig;
  /** Contents of `tokenizer_config.json`; empty if there is none. */
  readonly config: PublishedConfig;
}

/**
 * A `preprocessor_config.json`, which `processImage()` takes; that checks the fields it uses.
 */
export interface PreprocessorFile {
  /** Whose steps they are, such as `CLIPImageProcessor`. */
  readonly image_processor_type: string;
  /** Whether to resize. */
  readonly do_resize?: boolean;
  /** Size to resize to, of both sides or of the shorter one. */
  readonly size?: { readonly height: number; readonly width: number } | {
    readonly shortest_edge: number;
  };
  /** Filter by its number in Pillow. */
  readonly resample?: number;
  /** Whether to cut out the centre. */
  readonly do_center_crop?: boolean;
  /** Size of the centre. */
  readonly crop_size?: { readonly height: number; readonly width: number };
  /** Whether to multiply the bytes by `rescale_factor`. */
  readonly do_rescale?: boolean;
  /** Factor on the bytes. */
  readonly rescale_factor?: number;
  /** Whether to subtract `image_mean` and divide by `image_std`. */
  readonly do_normalize?: boolean;
  /** Subtracted from red, green and blue. */
  readonly image_mean?: readonly number[];
  /** Divisors of red, green and blue. */
  readonly image_std?: readonly number[];
  /** Has no effect: pictures are RGB here. */
  readonly do_convert_rgb?: boolean | null;
}

/**
 * Reads a JSON file that holds an object.
 *
 * @returns undefined if there is no such file
 * @throws {SyntaxError} if it holds something else. @throws {RangeError} if it is absurdly long.
 */
export function readJsonObject(path: string): PublishedConfig | undefined {
  let bytes: number;
  try {
    bytes = Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  if (bytes > LONGEST_JSON) {
    throw new RangeError(`${path}: ${bytes} bytes of JSON are over the limit of ${LONGEST_JSON}`);
  }
  return jsonObject(Deno.readTextFileSync(path), path);
}

/** The object of a JSON text. @throws {SyntaxError} if it is none. */
export function jsonObject(text: string, source: string): PublishedConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`${source} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new SyntaxError(`${source} should hold an object`);
  }
  return value as PublishedConfig;
}

/** A field that may be missing or null. @throws {SyntaxError} if it has another type. */
function optional<T>(
  fields: PublishedConfig,
  name: string,
  is: (value: unknown) => value is T,
  what: string,
  source: string,
): T | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (is(value)) return value;
  throw new SyntaxError(`${source}: ${name} should be ${what}, it is ${clipped(value)}`);
}

function clipped(value: unknown): string {
  const text = Array.isArray(value)
    ? "a list"
    : typeof value === "object"
    ? "an object"
    : undefined;
  return text ?? JSON.stringify(value).slice(0, 100);
}

const isId = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);
const isText = (v: unknown): v is string => typeof v === "string";
const isFlag = (v: unknown): v is boolean => typeof v === "boolean";
const isIds = (v: unknown): v is number | number[] =>
  isId(v) || (Array.isArray(v) && v.every(isId));

/**
 * How to sample, from a `generation_config.json` or, as older checkpoints have it, a `config.json`.
 *
 * @throws {SyntaxError} if a field has another type than it should.
 */
export function readGeneration(fields: PublishedConfig, source: string): GenerationConfig {
  const id = (name: string) => optional(fields, name, isId, "a token's number", source);
  const number = (name: string) => optional(fields, name, isNumber, "a number", source);
  const ends = optional(fields, "eos_token_id", isIds, "a token's number or several", source);
  const all = {
    beginId: id("bos_token_id"),
    endIds: ends === undefined ? [] : [ends].flat(),
    padId: id("pad_token_id"),
    sample: optional(fields, "do_sample", isFlag, "true or false", source) ?? false,
    temperature: number("temperature"),
    topP: number("top_p"),
    topK: number("top_k"),
    maxNewTokens: number("max_new_tokens"),
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as unknown as GenerationConfig;
}

/** A `preprocessor_config.json`. @throws {SyntaxError} if it does not say whose steps it has. */
export function readPreprocessor(fields: PublishedConfig, source: string): PreprocessorFile {
  const type = fields.image_processor_type ?? fields.feature_extractor_type;
  if (!isText(type)) {
    throw new SyntaxError(
      `${source}: image_processor_type should be a name, it is ${clipped(type ?? null)}`,
    );
  }
  // CLIPFeatureExtractor is what older files call CLIPImageProcessor.
  const name = type.replace(/FeatureExtractor$/, "ImageProcessor").replace(
    /ProcessorFast$/,
    "Processor",
  );
  // In the oldest files a size is one number: of both sides of the crop, of the shorter side.
  const { size, crop_size: crop } = fields;
  return {
    ...fields,
    image_processor_type: name,
    ...(isNumber(size) && { size: { shortest_edge: size } }),
    ...(isNumber(crop) && { crop_size: { height: crop, width: crop } }),
  };
}
