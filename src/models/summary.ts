/** Parameter accounting: how many there are, and how many one token uses. */
import { routersOf } from "../moe/mod.ts";
import {
  imageTokens,
  type LanguageConfig,
  type LvlmConfig,
  moeLayers,
  type VisionConfig,
} from "./config.ts";

/** One line of a model's summary. */
export interface SummaryRow {
  /** Part of the model. */
  part: string;
  /** Its sizes in words. */
  shape: string;
  /** Parameters. */
  total: number;
  /** Parameters that one token uses: top-k experts instead of all. */
  active: number;
}

/** A model in numbers. */
export interface Summary {
  /** What it is. */
  title: string;
  /** The parts, input first. */
  rows: SummaryRow[];
  /** Parameters. */
  total: number;
  /** Parameters that one token uses. */
  active: number;
}

/** What can be counted: a model's configuration, or a published model's, which may have more parts. */
export interface CountedConfig extends Pick<LvlmConfig, "preset" | "ffn" | "placement"> {
  /** Sizes of the vision encoder. */
  readonly vision: Readonly<VisionConfig> & {
    /** Whether it has SigLIP's attention pooling at the end, which no patch features need. */
    readonly pooling?: boolean;
  };
  /** Sizes of the language model. */
  readonly language: Readonly<
    Omit<LanguageConfig, "ropeBase" | "epsilon" | "headSize" | "ropeScaling" | "slidingWindow">
  >;
}

/** Weights of the matrices of one block of a vision encoder. */
export function visionBlockWeights({ width, hidden }: VisionConfig): number {
  return 4 * width ** 2 + 2 * width * hidden;
}

/** Weights of the attention of one block of a language model. */
export function attentionWeights(
  { width, heads, keyHeads = heads }: CountedConfig["language"],
): number {
  return 2 * width ** 2 + 2 * width * (width / heads * keyHeads);
}

/** Parameters of a vision encoder: patches with their positions, blocks, last norm, pooling. */
function visionParameters(v: CountedConfig["vision"]): number {
  const embedding = 3 * v.patch ** 2 * v.width + v.width + imageTokens(v) * v.width;
  const norm = 2 * v.width, mlpBiases = v.hidden + v.width, attentionBiases = 4 * v.width;
  const block = visionBlockWeights(v) + attentionBiases + mlpBiases + 2 * norm;
  // A block with one norm, and the query that it pools with.
  const pooling = v.pooling ? block - norm + v.width : 0;
  return embedding + v.layers * block + norm + pooling;
}

/**
 * Counts the parameters of a configuration, experts included, part by part, and those that one token
 * uses. As the paper counts, vision encoder, connector and both embedding matrices are active.
 */
export function summarize(config: CountedConfig): Summary {
  const { vision: v, language: l, ffn } = config;
  const sparse = moeLayers(config.placement, l.layers);
  const experts = ffn.experts.length;
  const whole = 3 * l.width * l.hidden;
  const one = whole / (ffn.split ?? 1);
  const isMixture = experts > 1 && sparse.length > 0;
  const mixtures = isMixture ? sparse.length : 0;
  const routers = routersOf(ffn).map((r) => r.experts.length * l.width);
  const rows: SummaryRow[] = [];
  const add = (part: string, shape: string, total: number, active = total) =>
    rows.push({ part, shape, total, active });
  add(
    "vision encoder",
    `${v.layers} blocks of ${v.width}, ${imageTokens(v)} patches of ${v.patch}×${v.patch}`,
    visionParameters(v),
  );
  add(
    "connector",
    `${v.width} → ${l.width} → ${l.width}`,
    v.width * l.width + l.width + l.width ** 2 + l.width,
  );
  add("token embedding", `${l.vocabulary} × ${l.width}`, l.vocabulary * l.width);
  const grouped = l.keyHeads ? `, ${l.keyHeads} of keys and values` : "";
  add(
    "attention",
    `${l.layers} layers, ${l.heads} heads${grouped}`,
    l.layers * attentionWeights(l),
  );
  add("norms", `${2 * l.layers + 1} × ${l.width}`, (2 * l.layers + 1) * l.width);
  if (l.layers > mixtures) {
    add("dense FFN", `${l.layers - mixtures} layers of ${l.hidden}`, (l.layers - mixtures) * whole);
  }
  if (isMixture) {
    add(
      `experts (${ffn.variant})`,
      `layers ${sparse.join(", ")}: ${ffn.experts.map((e) => e.name).join(" ")}, top-${ffn.topK}`,
      mixtures * experts * one,
      mixtures * ffn.topK * one,
    );
    if (ffn.alwaysOn) {
      const { experts: always, gate } = ffn.alwaysOn;
      add(
        "always-on experts",
        `${mixtures} layers, ${always} each${gate ? ", gated" : ""}`,
        mixtures * (always * one + (gate ? l.width : 0)),
      );
    }
    const all = routers.reduce((a, b) => a + b, 0);
    // A token is scored by the router of its own modality only; count the larger one.
    const own = Math.max(0, ...routers);
    add("routers", `${mixtures} layers, ${routers.length} each`, mixtures * all, mixtures * own);
  }
  add("language head", `${l.width} × ${l.vocabulary}`, l.vocabulary * l.width);
  const sum = (key: "total" | "active") => rows.reduce((n, r) => n + r[key], 0);
  return {
    title: `${config.preset} ${ffn.variant}`,
    rows,
    total: sum("total"),
    active: sum("active"),
  };
}
