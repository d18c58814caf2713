/**
 * How much device memory a model needs, from its configuration alone: before anything is allocated,
 * and before there are weights.
 *
 * @module
 */
import { formatBytes } from "../gpu/mod.ts";
import { textTable } from "../tensor/text_table.ts";
import { type DeviceLimits, sessionLimits } from "./device_limits.ts";
import { type MemorySizes, memorySizes } from "./memory_sizes.ts";
import { checkNames } from "./names.ts";
import type { PublishedConfig } from "./published_config.ts";
import type { CountedConfig } from "./summary.ts";

/** What is to be done with a model. */
export interface MemoryOptions {
  /** Rows of a batch. Default 1. */
  readonly batch?: number;
  /** Tokens of a row in one pass, those of its picture among them. Default 1, a step of generation. */
  readonly tokens?: number;
  /** Pictures of a pass. Default the batch, if there is a vision encoder. */
  readonly pictures?: number;
  /** Tokens of a row whose keys and values are kept. Default 0. */
  readonly kvTokens?: number;
  /**
   * Element type of weights and activations; in training of activations only, as weights, gradients and
   * moments stay f32. Default `f32`.
   */
  readonly dtype?: "f32" | "f16";
  /** Whether there are gradients. Default false. */
  readonly training?: boolean;
  /** In training: compute the blocks of the language model again instead of keeping what they made. */
  readonly recompute?: boolean;
  /** In training: `adamw` (two moments), `sgd` with momentum (one), `none`. Default `adamw`. */
  readonly optimizer?: "adamw" | "sgd" | "none";
  /** In training: how many parameters are trained. Default all. */
  readonly trained?: number;
  /** The device. Default that of the open session; without one no judgement is made. */
  readonly device?: DeviceLimits;
}

const OPTIONS = [
  "batch",
  "tokens",
  "pictures",
  "kvTokens",
  "dtype",
  "training",
  "recompute",
  "optimizer",
  "trained",
  "device",
];

/** One line of a plan. */
export interface MemoryRow {
  /** What holds the memory. */
  readonly part: "parameters" | "gradients" | "optimizer" | "activations" | "KV cache";
  /** Bytes. */
  readonly bytes: number;
  /** How they come about. */
  readonly how: string;
}

/** Moments of each trained parameter. */
const MOMENTS = { adamw: 2, sgd: 1, none: 0 } as const;

/** How much memory a model needs. Made by {@linkcode plan}; `show()` shows it as a table. */
export class MemoryPlan {
  /** Bytes of all rows. */
  readonly total: number;
  /** Why it does not fit the device; empty if it does, or there is no device to judge by. */
  readonly reasons: readonly string[];

  /** Use {@linkcode plan}. */
  constructor(
    /** What the model is. */
    readonly title: string,
    /** The parts. */
    readonly rows: readonly MemoryRow[],
    /** The largest piece of memory that kernels bind as one. */
    readonly largest: {
      /** Which. */
      readonly name: string;
      /** Bytes. */
      readonly bytes: number;
    },
    /** The device it was made for. */
    readonly device: DeviceLimits | undefined,
  ) {
    this.total = rows.reduce((sum, row) => sum + row.bytes, 0);
    this.reasons = device ? reasonsAgainst(this.total, largest, device) : [];
  }

  /** Whether the device can hold it; undefined without a device to judge by. */
  get fits(): boolean | undefined {
    return this.device && this.reasons.length === 0;
  }

  /** What to say in one line. */
  get verdict(): string {
    const { device, reasons } = this;
    if (!device) return "no device to judge by: open a session with lab(), or give `device`";
    if (reasons.length > 0) return `does not fit ${device.name}: ${reasons.join("; ")}`;
    const unknown = device.memory === undefined ? ", whose memory is not known" : "";
    return `fits ${device.name}${unknown}`;
  }

  /** Names of the columns of {@linkcode MemoryPlan.cells}. */
  get head(): string[] {
    return ["memory", "bytes", "", "how"];
  }

  /** The rows as they are shown. */
  cells(): (string | number)[][] {
    const { largest, device } = this;
    const line = (
      part: string,
      bytes: number,
      how: string,
    ) => [part, bytes, formatBytes(bytes), how];
    const of = (limit: number | undefined) =>
      limit === undefined ? "" : ` of ${formatBytes(limit)}`;
    return [
      ...this.rows.map(({ part, bytes, how }) => line(part, bytes, how)),
      line("total", this.total, device ? `${device.name}${of(device.memory)}` : ""),
      line("largest tensor", largest.bytes, `${largest.name}${of(device?.binding)}`),
    ];
  }

  /** The table and the verdict as text. */
  toString(): string {
    return `${this.title}\n${textTable(this.head, this.cells())}\n${this.verdict}`;
  }

  /** The same in a terminal. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** Shown by notebooks as a table. */
  [Symbol.for("Jupyter.display")](): Record<string, string> {
    const bar = (cells: readonly unknown[]) => `| ${cells.join(" | ")} |`;
    const table = [bar(this.head), "| --- | ---: | ---: | --- |", ...this.cells().map(bar)];
    return {
      "text/plain": this.toString(),
      "text/markdown": [`**${this.title}**`, "", ...table, "", this.verdict].join("\n"),
    };
  }
}

function reasonsAgainst(
  total: number,
  largest: { name: string; bytes: number },
  { binding, memory }: DeviceLimits,
): string[] {
  const reasons: string[] = [];
  const size = (bytes: number) => `${bytes} bytes (${formatBytes(bytes)})`;
  if (largest.bytes > binding) {
    reasons.push(
      `${largest.name} has ${size(largest.bytes)}, and one binding at most ${size(binding)}`,
    );
  }
  if (memory !== undefined && total > memory) {
    reasons.push(`${size(total)} are needed, and there are ${size(memory)}`);
  }
  return reasons;
}

/** A whole number among the options. @throws {RangeError} if it is none, or below `least`. */
function count(
  options: MemoryOptions,
  name: keyof MemoryOptions,
  usual: number,
  least = 1,
): number {
  const value = options[name] ?? usual;
  if (Number.isSafeInteger(value) && value as number >= least) return value as number;
  throw new RangeError(`plan: ${name} = ${value} should be a whole number of at least ${least}`);
}

/**
 * How much device memory a model needs.
 *
 * Parameters, gradients, optimizer and KV cache are exact, except that the device hands memory out in
 * steps: up to a fifth may come on top. Activations are an estimate, see
 * {@linkcode activationElements}, within a factor of two of the memory that the planner takes.
 *
 * @param config a published model's `config.json`, or a configuration of this library, such as
 * `lvlmConfig()` and `publishedModel()` give
 * @throws {RangeError} if an option or size is out of range, or the model of an unknown type.
 * @throws {SyntaxError} if the configuration is malformed.
 *
 * @example
 * ```ts
 * import { plan, publishedModel } from "@moiie/lab/models";
 * import { moiie } from "@moiie/lab/moe";
 * const device = { name: "a card of 24 GB", binding: 2 ** 31, memory: 24e9 };
 * const config = publishedModel("phi-3-mini", moiie());
 * console.log(String(plan(config, { dtype: "f16", tokens: 1000, kvTokens: 1000, device })));
 * ```
 */
export function plan(
  config: PublishedConfig | CountedConfig,
  options: MemoryOptions = {},
): MemoryPlan {
  checkNames("plan option", options, OPTIONS);
  const { dtype = "f32", training = false, recompute = false, optimizer = "adamw" } = options;
  if (dtype !== "f32" && dtype !== "f16") {
    throw new RangeError(`plan: dtype ${dtype} is not f32 or f16`);
  }
  if (!Object.hasOwn(MOMENTS, optimizer)) {
    throw new RangeError(`plan: optimizer ${optimizer} is unknown`);
  }
  const sizes = memorySizes(config);
  const batch = count(options, "batch", 1), tokens = count(options, "tokens", 1);
  const kvTokens = count(options, "kvTokens", 0, 0);
  const pictures = count(options, "pictures", sizes.vision ? batch : 0, 0);
  const trained = count(options, "trained", sizes.parameters, 0);
  const width = dtype === "f16" ? 2 : 4, stored = training ? 4 : width;
  const n = (count: number) => count.toLocaleString("en");
  const rows: MemoryRow[] = [{
    part: "parameters",
    bytes: sizes.parameters * stored,
    how: `${n(sizes.parameters)} × ${stored} bytes`,
  }];
  if (training) {
    rows.push({ part: "gradients", bytes: trained * 4, how: `${n(trained)} × 4 bytes` });
    const moments = MOMENTS[optimizer];
    rows.push({
      part: "optimizer",
      bytes: moments * trained * 4,
      how: `${optimizer}: ${moments} × ${n(trained)} × 4 bytes`,
    });
  }
  rows.push({
    part: "activations",
    bytes: activationElements(sizes, { batch, tokens, pictures, training, recompute }) * width,
    how: `about, for ${n(batch)} × ${n(tokens)} tokens` +
      (pictures > 0 ? ` and ${n(pictures)} pictures` : ""),
  });
  const l = sizes.language;
  if (l && kvTokens > 0) {
    const keys = (l.keyHeads ?? l.heads) * (l.headSize ?? l.width / l.heads);
    rows.push({
      part: "KV cache",
      bytes: 2 * l.layers * keys * batch * kvTokens * width,
      how: `2 × ${l.layers} layers × ${n(keys)} × ${n(batch * kvTokens)} tokens × ${width} bytes`,
    });
  }
  return new MemoryPlan(
    sizes.title,
    rows,
    largestPiece(sizes, stored, training, trained),
    options.device ?? sessionLimits(),
  );
}

/** In training all trained parameters lie in one piece, as do their moments. */
function largestPiece(
  { largest: { name, size } }: MemorySizes,
  stored: number,
  training: boolean,
  trained: number,
): { name: string; bytes: number } {
  if (training && trained > size) return { name: "all trained parameters", bytes: trained * 4 };
  return { name, bytes: size * stored };
}

/** One pass over a model. */
export interface Pass {
  /** Rows. */
  readonly batch: number;
  /** Tokens of a row. */
  readonly tokens: number;
  /** Pictures. */
  readonly pictures: number;
  /** Whether gradients follow. */
  readonly training: boolean;
  /** Whether blocks of the language model are computed again for them. */
  readonly recompute: boolean;
}

/**
 * Estimate of the elements that a pass holds beside the weights. A block of width D with h heads of
 * size s, k of them for keys and values, makes for each of its R rows 6 D + 2 (h + 2 k) s numbers and,
 * in the feed-forward layer of inner width I, 3 I of them (a vision encoder 2 I) for every expert that
 * a token uses; and 2 h T² of attention between the T tokens of a row. In training what all blocks made
 * is there at the end of the forward pass; otherwise, and where blocks are computed again, of one block
 * at a time. To that come the logits, in training with their gradient.
 */
export function activationElements({ language: l, vision: v }: MemorySizes, pass: Pass): number {
  const { batch, tokens, pictures, training, recompute } = pass;
  let elements = 0;
  if (v && pictures > 0) {
    // Scales are looked at one after the other; their pieces together.
    const { pieces = [1] } = v, all = pieces.reduce((sum, n) => sum + n, 0);
    const seen = pictures * (training ? all : Math.max(...pieces)), rows = seen * v.patches;
    const block = rows * (6 * v.width + 6 * v.width + 2 * v.hidden) +
      2 * seen * v.heads * v.patches ** 2;
    elements += training ? v.layers * block : block;
  }
  if (!l) return elements;
  const rows = batch * tokens, { width, heads, keyHeads = heads, headSize = width / heads } = l;
  const attention = rows * (6 * width + 2 * (heads + 2 * keyHeads) * headSize) +
    2 * batch * heads * tokens ** 2;
  const dense = attention + rows * 3 * l.hidden;
  const sparse = attention + rows * l.topK * (3 * l.hidden + 2 * width);
  const largest = l.mixtures > 0 ? Math.max(sparse, dense) : dense;
  const logits = rows * l.vocabulary;
  if (!training) return Math.max(elements, largest) + logits;
  const blocks = recompute
    ? l.layers * rows * width + 3 * largest
    : l.mixtures * sparse + (l.layers - l.mixtures) * dense;
  return elements + blocks + 2 * logits;
}
