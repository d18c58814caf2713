/**
 * The choices of single tokens through all layers: paths, patterns, words, and what changed between
 * two states of a model. Pure functions of plain arrays.
 */
import type { RoutingRecord } from "./routing_record.ts";

/** Which experts each of some tokens chose in every mixture layer. */
export interface TokenChoices extends Pick<RoutingRecord, "experts" | "pools" | "topK"> {
  /** Places of the mixture layers in the network. */
  readonly layers: readonly number[];
  /** Number of tokens n. */
  readonly tokens: number;
  /** Vocabulary id of each token, `[n]`. */
  readonly ids: Int32Array;
  /** Modality of each token, a position in `pools`, `[n]`. */
  readonly modality: Int32Array;
  /** Class of each token, a position in `classNames`, `[n]`. */
  readonly classes: Int32Array;
  /** Names of the classes. */
  readonly classNames: readonly string[];
  /** Benchmark of each token, a position in `benchmarkNames`, `[n]`. */
  readonly benchmarks: Int32Array;
  /** Names of the benchmarks. */
  readonly benchmarkNames: readonly string[];
  /** Chosen experts, likeliest first, `[layers × n × slots]`; -1 where there is none. */
  readonly chosen: Int32Array;
  /** Choices that are stored for each token. */
  readonly slots: number;
}

/** Experts of a token in a layer, likeliest first. */
export function choicesOf(c: TokenChoices, layer: number, token: number): number[] {
  const at = (layer * c.tokens + token) * c.slots;
  return [...c.chosen.subarray(at, at + c.slots)].filter((e) => e >= 0);
}

/** Numbers of the tokens of a modality, class or benchmark; all if nothing is named. */
export function tokensWhere(
  c: TokenChoices,
  filter: { modality?: string; tokenClass?: string; benchmark?: string } = {},
): number[] {
  const fits = (values: Int32Array, names: readonly string[], name?: string) => {
    const wanted = name === undefined ? undefined : names.indexOf(name);
    return (t: number) => wanted === undefined || values[t] === wanted;
  };
  const tests = [
    fits(c.modality, c.pools.map((p) => p.modality), filter.modality),
    fits(c.classes, c.classNames, filter.tokenClass),
    fits(c.benchmarks, c.benchmarkNames, filter.benchmark),
  ];
  return Array.from({ length: c.tokens }, (_, t) => t).filter((t) => tests.every((f) => f(t)));
}

/** A way through the layers. */
export interface PathCount {
  /** What was chosen in each layer: `S1`, or with patterns `V1+S2`. */
  readonly experts: readonly string[];
  /** Tokens that took it. */
  readonly tokens: number;
}

/**
 * How many tokens took each way through the mixture layers, the most common first (as in MoE-LLaVA's
 * token pathways, arXiv 2401.15947).
 *
 * @param tokens which tokens; see {@linkcode tokensWhere}
 * @param entry what stands for a layer: the likeliest expert (`first`), or all that were chosen, in the
 * order of the table (`pattern`). Default `first`.
 */
export function pathCounts(
  c: TokenChoices,
  tokens: readonly number[],
  entry: "first" | "pattern" = "first",
): PathCount[] {
  const found = new Map<string, { experts: string[]; tokens: number }>();
  for (const t of tokens) {
    const experts = c.layers.map((_, l) => {
      const all = choicesOf(c, l, t);
      const some = entry === "first" ? all.slice(0, 1) : all.sort((a, b) => a - b);
      return some.map((e) => c.experts[e].name).join("+") || "none";
    });
    const key = experts.join(" ");
    const known = found.get(key);
    if (known) known.tokens++;
    else found.set(key, { experts, tokens: 1 });
  }
  return [...found].sort(([a, x], [b, y]) => y.tokens - x.tokens || (a < b ? -1 : 1))
    .map(([, path]) => path);
}

/**
 * Cross-layer co-activation: how many tokens had one likeliest expert in one layer and another in a
 * later one (OLMoE, arXiv 2409.02060, section 5.2, across layers).
 *
 * @param from position in `layers` @param to position in `layers` @returns `[E][E]`, rows: `from`
 */
export function crossLayerCounts(
  c: TokenChoices,
  tokens: readonly number[],
  from: number,
  to: number,
): number[][] {
  for (const l of [from, to]) {
    if (!(l in c.layers)) {
      throw new RangeError(`crossLayerCounts: no layer number ${l} of ${c.layers.length}`);
    }
  }
  const counts = c.experts.map(() => c.experts.map(() => 0));
  for (const t of tokens) {
    const [a] = choicesOf(c, from, t), [b] = choicesOf(c, to, t);
    if (a !== undefined && b !== undefined) counts[a][b]++;
  }
  return counts;
}

/**
 * Router saturation of each layer: the mean share of a token's k choices in one state of a model that
 * it also has in a later one, 1/T Σ |T ∩ T'| / k (OLMoE, arXiv 2409.02060, section 5.1). The same
 * tokens must have been recorded. At random it is k / n of a pool of n.
 *
 * @returns one number for each layer
 * @throws {RangeError} if the two have not the same tokens and layers.
 */
export function routerSaturation(
  early: TokenChoices,
  late: TokenChoices,
  tokens: readonly number[] = tokensWhere(early),
): number[] {
  if (
    early.tokens !== late.tokens || early.layers.join() !== late.layers.join() ||
    early.ids.some((id, t) => id !== late.ids[t] || early.modality[t] !== late.modality[t])
  ) {
    throw new RangeError(
      `routerSaturation: the two recordings are not of the same tokens and layers (${early.tokens} ` +
        `and ${late.tokens} tokens, layers ${early.layers} and ${late.layers}); record both with ` +
        `the same options`,
    );
  }
  return early.layers.map((_, l) => {
    let common = 0;
    for (const t of tokens) {
      const before = choicesOf(early, l, t), after = choicesOf(late, l, t);
      common += after.filter((e) => before.includes(e)).length / Math.max(1, after.length);
    }
    return tokens.length > 0 ? common / tokens.length : NaN;
  });
}

/** How strongly words keep to experts. */
export interface VocabularyUse {
  /** Mean over words of the share of their tokens that the word's favourite expert gets. */
  readonly mean: number;
  /** The same if each token chose at random among as many experts as there are, seen often enough. */
  readonly chance: number;
  /** Words that were counted. */
  readonly words: number;
}

/**
 * Vocabulary specialisation of a layer: for every word v, maxₑ Pr(e | v) of the likeliest expert, mean
 * over words (OLMoE, arXiv 2409.02060, section 5.4; high values of all words mean routing by
 * token id, as OpenMoE reports, arXiv 2402.01739).
 *
 * @param layer position in `layers`
 * @param tokens which tokens, of one modality
 * @param least words with fewer tokens are left out: rare ones look specialised. Default 8.
 */
export function vocabularySpecialisation(
  c: TokenChoices,
  layer: number,
  tokens: readonly number[],
  least = 8,
): VocabularyUse {
  const byWord = Map.groupBy(tokens, (t) => c.ids[t]);
  const shares: number[] = [];
  for (const mine of byWord.values()) {
    if (mine.length < least) continue;
    const counts = new Map<number, number>();
    for (const t of mine) {
      const [e] = choicesOf(c, layer, t);
      if (e !== undefined) counts.set(e, (counts.get(e) ?? 0) + 1);
    }
    shares.push(Math.max(0, ...counts.values()) / mine.length);
  }
  const pools = new Set(tokens.map((t) => c.pools[c.modality[t]].experts.length));
  return {
    mean: shares.reduce((a, b) => a + b, 0) / shares.length,
    chance: 1 / Math.max(1, ...pools),
    words: shares.length,
  };
}
