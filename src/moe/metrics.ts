/**
 * How evenly and how decisively experts are used: pure functions of counts.
 *
 * Of N experts, c is the load of each (tokens that chose it), c̄ its mean, q = c / Σc its share. What
 * cannot be told without tokens is NaN. For MoIIE, measure a modality's pool and a layer at a time.
 */
import { cellOf, poolOf, type RoutingCell, type RoutingRecord } from "./routing_record.ts";

const total = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

/** Each number over the sum of all, NaN if that is 0. */
export function sharesOf(counts: readonly number[]): number[] {
  const sum = total(counts);
  return counts.map((c) => sum > 0 ? c / sum : NaN);
}

/**
 * Utilisation ratio of each expert, c / c̄: 1 is fair, 0 is dead (as in NVIDIA NeMo-Automodel's
 * load-balance metrics).
 */
export function utilisation(counts: readonly number[]): number[] {
  return sharesOf(counts).map((q) => q * counts.length);
}

/**
 * MaxVio, (max c − c̄) / c̄: how far the fullest expert is above the mean; 0 is fair (Wang et al. 2024,
 * arXiv 2408.15664, eq. 4).
 */
export function maxVio(counts: readonly number[]): number {
  return Math.max(...utilisation(counts)) - 1;
}

/**
 * Coefficient of variation of the load, std(c) / c̄ with the population's standard deviation; 0 is fair
 * (Shazeer et al. 2017, arXiv 1701.06538, section 4: the importance loss is its square).
 */
export function loadCv(counts: readonly number[]): number {
  return Math.sqrt(total(utilisation(counts).map((u) => (u - 1) ** 2)) / counts.length);
}

/** Entropy of a distribution in nats, −Σ q ln q with 0 ln 0 = 0 (Shannon 1948). */
export function entropyOf(shares: readonly number[]): number {
  return total(shares.map((q) => q === 0 ? 0 : -q * Math.log(q)));
}

/** Entropy of the load in nats, −Σ q ln q; ln N is fair. */
export function loadEntropy(counts: readonly number[]): number {
  return entropyOf(sharesOf(counts));
}

/** Effective number of experts, exp of the load's entropy: from 1 to N (perplexity; Hill 1973). */
export function effectiveExperts(counts: readonly number[]): number {
  return Math.exp(loadEntropy(counts));
}

/**
 * Gini coefficient of the load, Σᵢⱼ |qᵢ − qⱼ| / 2N: 0 is fair, (N − 1) / N if one expert gets all
 * (Gini 1912).
 */
export function gini(counts: readonly number[]): number {
  const q = sharesOf(counts);
  return total(q.flatMap((a) => q.map((b) => Math.abs(a - b)))) / (2 * counts.length);
}

/** Share of the experts that got no token, #{c = 0} / N. */
export function deadFraction(counts: readonly number[]): number {
  if (total(counts) === 0) return NaN;
  return counts.filter((c) => c === 0).length / counts.length;
}

/**
 * Mean entropy of the tokens' routing probabilities over ln n: 1 if routers have no preference, 0 if
 * they are sure; low after a collapse, too. 0 for a pool of one expert.
 *
 * @param n experts that the tokens may use
 */
export function tokenRoutingEntropy(
  { entropy, tokens }: Pick<RoutingCell, "entropy" | "tokens">,
  n: number,
): number {
  if (tokens === 0) return NaN;
  return n > 1 ? entropy / tokens / Math.log(n) : 0;
}

/**
 * Mutual information of token and expert in nats, H(mean p) − mean H(p): high if routing is balanced
 * and decisive, 0 if all tokens have the same probabilities (as Fast-LLM logs it; Bridle et al. 1991,
 * "Unsupervised classifiers, mutual information and phantom targets").
 */
export function routingMutualInformation(
  { probability, entropy, tokens }: Pick<RoutingCell, "probability" | "entropy" | "tokens">,
): number {
  // Equal probabilities of all tokens can come out below 0 by rounding.
  return tokens === 0
    ? NaN
    : Math.max(0, entropyOf(probability.map((p) => p / tokens)) - entropy / tokens);
}

/** Mean difference of the largest and the second largest probability: 0 undecided, 1 sure. */
export function topMargin({ margin, tokens }: Pick<RoutingCell, "margin" | "tokens">): number {
  return tokens === 0 ? NaN : margin / tokens;
}

/** Mean of the largest probability: from 1 / n to 1. */
export function meanLargest({ largest, tokens }: Pick<RoutingCell, "largest" | "tokens">): number {
  return tokens === 0 ? NaN : largest / tokens;
}

/** All measures of use, of one pool in one layer. */
export interface LoadMetrics {
  /** The layer's place in the network. */
  readonly layer: number;
  /** Modality of the tokens, or `all`. */
  readonly modality: string;
  /** Experts that the tokens may use, in the order of `utilisation`. */
  readonly experts: readonly string[];
  /** Tokens. */
  readonly tokens: number;
  /** Whether every token uses every expert of the pool, so that nothing can be out of balance. */
  readonly trivial: boolean;
  /** See {@linkcode utilisation}. */
  readonly utilisation: readonly number[];
  /** See {@linkcode maxVio}. */
  readonly maxVio: number;
  /** See {@linkcode loadCv}. */
  readonly cv: number;
  /** See {@linkcode loadEntropy}. */
  readonly entropy: number;
  /** See {@linkcode effectiveExperts}. */
  readonly effective: number;
  /** See {@linkcode gini}. */
  readonly gini: number;
  /** See {@linkcode deadFraction}. */
  readonly dead: number;
  /** See {@linkcode tokenRoutingEntropy}. */
  readonly tokenEntropy: number;
  /** See {@linkcode routingMutualInformation}. */
  readonly mutualInformation: number;
  /** See {@linkcode topMargin}. */
  readonly margin: number;
  /** See {@linkcode meanLargest}. */
  readonly largest: number;
  /** Share of the choices that full experts left out. */
  readonly dropped: number;
}

/**
 * All measures of use for each layer and modality of a record, and with `all` for the experts under
 * the tokens of all modalities together. Modalities without tokens are left out.
 */
export function loadMetrics(record: RoutingRecord, tokenClass?: string): LoadMetrics[] {
  const modalities = [...record.pools.map((p) => p.modality), "all"];
  return record.layers.flatMap(({ layer }) =>
    modalities.flatMap((modality) => {
      const wanted = modality === "all" ? undefined : modality;
      const cell = cellOf(record, { layer, modality: wanted, tokenClass });
      return cell.tokens > 0 ? [measure(record, layer, cell)] : [];
    })
  );
}

function measure(record: RoutingRecord, layer: number, cell: RoutingCell): LoadMetrics {
  const pool = poolOf(record, cell.modality);
  const counts = pool.map((e) => cell.choices[e]);
  return {
    layer,
    modality: cell.modality,
    experts: pool.map((e) => record.experts[e].name),
    tokens: cell.tokens,
    trivial: cell.modality !== "all" && pool.length <= record.topK,
    utilisation: utilisation(counts),
    maxVio: maxVio(counts),
    cv: loadCv(counts),
    entropy: loadEntropy(counts),
    effective: effectiveExperts(counts),
    gini: gini(counts),
    dead: deadFraction(counts),
    tokenEntropy: tokenRoutingEntropy(cell, pool.length),
    mutualInformation: routingMutualInformation(cell),
    margin: topMargin(cell),
    largest: meanLargest(cell),
    dropped: cell.dropped / Math.max(1, total(counts)),
  };
}
