/** Arithmetic of a forward pass, from the configuration alone. */
import { imageTokens } from "./config.ts";
import { type CountedConfig, summarize, visionBlockWeights } from "./summary.ts";

/** Operations of one part of a model. */
export interface FlopsRow {
  /** The part, named as in `summarize()`. */
  readonly part: string;
  /** What the operations are for: each token of the language model, or each picture. */
  readonly per: "token" | "picture";
  /** Operations. */
  readonly flops: number;
}

/** Operations of a forward pass. */
export interface ForwardFlops {
  /** The parts, input first. */
  readonly rows: readonly FlopsRow[];
  /** Operations of one token in the language model, be it of an image or of text. */
  readonly token: number;
  /** Operations of one picture before the language model: vision encoder and connector. */
  readonly picture: number;
}

/** Parts of a language model that multiply a token with all of their active weights. */
const MATRICES = /^(attention|dense FFN|experts|always-on experts|routers|language head)/;

/**
 * Counts the floating point operations of a forward pass: two (multiply and add) for every weight of a
 * matrix that a token meets, only the chosen experts and the router of its modality, and those of
 * attention between tokens. Norms, activations, softmaxes and the look-up of embeddings are left out,
 * as is usual (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Training takes about three times as
 * many: the backward pass has two products for each of the forward pass.
 *
 * Of the vision encoder all blocks count, without pooling.
 *
 * @param context Tokens that a token attends to, itself included. Default 1, hardly any.
 * @throws {RangeError} If the context is not a positive number.
 */
export function forwardFlops(
  config: CountedConfig,
  { context = 1 }: { readonly context?: number } = {},
): ForwardFlops {
  if (!(context > 0)) {
    throw new RangeError(`forwardFlops: a context of ${context} tokens; a token attends to itself`);
  }
  const { vision: v, language: l } = config;
  const patches = imageTokens(v);
  const encoder = 3 * v.patch ** 2 * v.width + v.layers * visionBlockWeights(v);
  const rows: FlopsRow[] = [
    {
      part: "vision encoder",
      per: "picture",
      flops: patches * (2 * encoder + v.layers * betweenTokens(v.width, patches)),
    },
    {
      part: "connector",
      per: "picture",
      flops: patches * 2 * (v.width * l.width + l.width ** 2),
    },
    ...summarize(config).rows.filter(({ part }) => MATRICES.test(part))
      .map(({ part, active }): FlopsRow => ({ part, per: "token", flops: 2 * active })),
    {
      part: "attention between tokens",
      per: "token",
      flops: l.layers * betweenTokens(l.width, context),
    },
  ];
  const sum = (per: FlopsRow["per"]) =>
    rows.filter((r) => r.per === per).reduce((n, r) => n + r.flops, 0);
  return { rows, token: sum("token"), picture: sum("picture") };
}

/** Scores of one query and the sum that they weigh, all heads of a layer together. */
const betweenTokens = (width: number, context: number): number => 4 * width * context;
