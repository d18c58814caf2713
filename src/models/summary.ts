/** Parameter accounting: how many there are, and how many one token uses. */
import { routersOf } from "../moe/mod.ts";
import { imageTokens, type LvlmConfig, moeLayers } from "./config.ts";

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

/**
 * Counts the parameters of a configuration, experts included, part by part, and those that one token
 * uses. As the paper counts, vision encoder, connector and both embedding matrices are active.
 */
export function summarize(config: LvlmConfig): Summary {
  const { vision: v, language: l, ffn } = config;
  const sparse = moeLayers(config.placement, l.layers);
  const experts = ffn.experts.length;
  const whole = 3 * l.width * l.hidden;
  const one = whole / (ffn.split ?? 1);
  const isMixture = experts > 1 && sparse.length > 0;
  const mixtures = isMixture ? sparse.length : 0;
  const routers = routersOf(ffn).map((r) => r.experts.length * l.width);
  const visionBlock = 4 * v.width ** 2 + 4 * v.width + 2 * v.width * v.hidden + v.hidden + v.width +
    4 * v.width;
  const rows: SummaryRow[] = [];
  const add = (part: string, shape: string, total: number, active = total) =>
    rows.push({ part, shape, total, active });
  add(
    "vision encoder",
    `${v.layers} blocks of ${v.width}, ${imageTokens(v)} patches of ${v.patch}×${v.patch}`,
    3 * v.patch ** 2 * v.width + v.width + imageTokens(v) * v.width + v.layers * visionBlock +
      2 * v.width,
  );
  add(
    "connector",
    `${v.width} → ${l.width} → ${l.width}`,
    v.width * l.width + l.width + l.width ** 2 + l.width,
  );
  add("token embedding", `${l.vocabulary} × ${l.width}`, l.vocabulary * l.width);
  add("attention", `${l.layers} layers, ${l.heads} heads`, l.layers * 4 * l.width ** 2);
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
