/**
 * What experts are used for: pure functions of routing records. What cannot be told without tokens is
 * NaN.
 */
import { entropyOf, sharesOf } from "./metrics.ts";
import {
  cellOf,
  poolOf,
  type RoutingCell,
  type RoutingRecord,
  sharedExperts,
} from "./routing_record.ts";

const total = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

/**
 * Modality share of each expert, Pr(m | e) = c⁽ᵐ⁾ₑ / cₑ: the part of an expert's tokens that is of each
 * modality (as MoE-LLaVA draws it, arXiv 2401.15947). Only shared experts can have more than one.
 *
 * @param counts choices by modality, `[modalities][E]` @returns `[E][modalities]`
 */
export function modalityShares(counts: readonly (readonly number[])[]): number[][] {
  return (counts[0] ?? []).map((_, e) => sharesOf(counts.map((row) => row[e])));
}

/** Use of the shared experts by the tokens of one modality. */
export interface InterModality {
  /** The layer's place in the network. */
  readonly layer: number;
  /** The modality. */
  readonly modality: string;
  /** Share of the choices that went to shared experts. */
  readonly ratio: number;
  /** The same of a router that chooses at random: |S| / |pool|. Compare with this, not with 0. */
  readonly chance: number;
  /** The least and the most that top-k of this pool can have. */
  readonly least: number;
  /** The most. */
  readonly most: number;
}

/**
 * Inter-modality ratio of each layer and modality, ρ = Σ_S c / Σ_pool c: the curve of the paper's
 * figures 4 and 6, with its chance level |S| / |pool|. Top-2 of one own and two shared experts cannot
 * be below 1/2.
 */
export function interModalityRatios(record: RoutingRecord): InterModality[] {
  const shared = sharedExperts(record), { topK } = record;
  return record.layers.flatMap(({ layer }) =>
    record.pools.map(({ modality, experts }) => {
      const { choices } = cellOf(record, { layer, modality });
      const s = experts.filter((e) => shared.includes(e)).length, own = experts.length - s;
      return {
        layer,
        modality,
        ratio: total(shared.map((e) => experts.includes(e) ? choices[e] : 0)) /
          total(experts.map((e) => choices[e])),
        chance: s / experts.length,
        least: Math.max(0, topK - own) / topK,
        most: Math.min(topK, s) / topK,
      };
    })
  );
}

/** How often a set of experts was chosen together. */
export interface Pattern {
  /** Names of the experts, in the order of the table, joined by +: `V1+S2`. */
  readonly pattern: string;
  /** Tokens that chose exactly these. */
  readonly tokens: number;
  /** Their share of all. */
  readonly share: number;
}

/**
 * Shares of the sets of experts that top-2 tokens of one modality choose, such as {V1+S1, V1+S2,
 * S1+S2} for MoIIE: no token of four experts is without a shared one.
 *
 * @throws {RangeError} if tokens choose more than two experts (count token choices instead), or pairs
 * were not recorded.
 */
export function patternShares(record: RoutingRecord, layer: number, modality: string): Pattern[] {
  const { experts, topK } = record, pool = poolOf(record, modality);
  const cell = cellOf(record, { layer, modality });
  if (topK > 2) {
    throw new RangeError(
      `patternShares: tokens choose ${topK} experts, records know pairs only; use recordPaths() and ` +
        `pathCounts() with patterns`,
    );
  }
  if (topK === 2 && cell.tokens > 0 && cell.pairs.length === 0) {
    throw new RangeError("patternShares: this record was made without pairs of experts");
  }
  const sets = topK === 1
    ? pool.map((e) => ({ names: [e], tokens: cell.choices[e] }))
    : pool.flatMap((a, i) =>
      pool.slice(i + 1).map((b) => (
        { names: [a, b], tokens: cell.pairs[a * experts.length + b] ?? 0 }
      ))
    );
  return sets.map(({ names, tokens }) => ({
    pattern: names.sort((a, b) => a - b).map((e) => experts[e].name).join("+"),
    tokens,
    share: cell.tokens > 0 ? tokens / cell.tokens : NaN,
  }));
}

/** How much two labels of the same events tell of each other. */
export interface MutualInformation {
  /** In nats. */
  readonly nats: number;
  /** Over the smaller of the two entropies: 0 independent, 1 one is a function of the other. */
  readonly normalised: number;
}

/**
 * Mutual information of the rows and columns of a table of counts, Σ p(a,b) ln p(a,b) / p(a)p(b), and
 * that over min(H(A), H(B)), 0 if one of them has only one value. For rows experts and columns
 * modalities it is I(expert; modality); classes of tokens, families of questions and single words serve
 * as well (Cover and Thomas 2006, section 2.3; normalised as in Kvålseth 1987).
 *
 * @param counts `[rows][columns]`
 */
export function mutualInformation(counts: readonly (readonly number[])[]): MutualInformation {
  const n = total(counts.map(total));
  if (n === 0) return { nats: NaN, normalised: NaN };
  const rows = counts.map((row) => total(row) / n);
  const columns = (counts[0] ?? []).map((_, j) => total(counts.map((row) => row[j])) / n);
  const joint = entropyOf(counts.flat().map((c) => c / n));
  // Independent labels can come out below 0 by rounding.
  const nats = Math.max(0, entropyOf(rows) + entropyOf(columns) - joint);
  const least = Math.min(entropyOf(rows), entropyOf(columns));
  return { nats, normalised: least > 1e-12 ? Math.min(1, nats / least) : 0 };
}

/** Choices of a layer by a label of the tokens: `[labels][E]`. */
export type Label = "modality" | "tokenClass";

/**
 * I(expert; label) of a layer, for the modality or the class of tokens: how much an expert's number
 * tells about the tokens that it gets.
 *
 * @param among experts to look at. Default all; the shared ones are the ones that could have both
 */
export function expertInformation(
  record: RoutingRecord,
  layer: number,
  label: Label,
  among: readonly number[] = record.experts.map((_, e) => e),
): MutualInformation {
  const values = [
    ...new Set(record.layers.flatMap((l) => l.cells.map((c) => c[label]))),
  ];
  const cells = values.map((value) => cellOf(record, { layer, [label]: value }));
  return mutualInformation(among.map((e) => cells.map((c) => c.choices[e])));
}

/**
 * Jensen-Shannon divergence of two distributions in bits, H((p + q)/2) − (H(p) + H(q))/2: 0 if equal, 1
 * if they have nothing in common (Lin 1991). NaN if one of them has no counts.
 */
export function jensenShannon(p: readonly number[], q: readonly number[]): number {
  const a = sharesOf(p), b = sharesOf(q);
  const middle = a.map((v, i) => (v + b[i]) / 2);
  const nats = entropyOf(middle) - (entropyOf(a) + entropyOf(b)) / 2;
  return Math.max(0, nats) / Math.LN2;
}

/**
 * Image-text agreement on the shared experts of a layer: Jensen-Shannon divergence between the two
 * modalities' distributions over them, in bits. 0 means that both use them alike.
 */
export function sharedAgreement(
  record: RoutingRecord,
  layer: number,
  modalities: readonly [string, string] = ["image", "text"],
): number {
  const shared = sharedExperts(record);
  const [a, b] = modalities.map((modality) => {
    const { choices } = cellOf(record, { layer, modality });
    return shared.map((e) => choices[e]);
  });
  return jensenShannon(a, b);
}

/** Use of the experts by one domain. */
export interface DomainUse {
  /** Benchmark or family. */
  readonly domain: string;
  /** Share of the domain's tokens that chose each expert, `[E]`. */
  readonly share: readonly number[];
  /** That of a router which chooses at random, k / |pool|; 0 for forbidden experts. */
  readonly chance: readonly number[];
}

/**
 * Domain specialisation: the share of a domain's tokens that choose each expert, against chance k / n
 * (OLMoE, arXiv 2409.02060, section 5.3, here within a modality's pool).
 *
 * @param records one for each domain
 */
export function domainSpecialisation(
  records: readonly RoutingRecord[],
  layer: number,
  modality: string,
): DomainUse[] {
  return records.map((record) => {
    const { choices, tokens } = cellOf(record, { layer, modality });
    const pool = poolOf(record, modality);
    return {
      domain: record.benchmark ?? "",
      share: choices.map((c) => tokens > 0 ? c / tokens : NaN),
      chance: choices.map((_, e) => pool.includes(e) ? Math.min(1, record.topK / pool.length) : 0),
    };
  });
}

/**
 * I(expert; domain) of a layer: how much an expert's number tells about the family of the question.
 *
 * @param records one for each domain, of the same number of tokens for a fair comparison
 */
export function domainInformation(
  records: readonly RoutingRecord[],
  layer: number,
  modality?: string,
): MutualInformation {
  const cells = records.map((record) => cellOf(record, { layer, modality }));
  return mutualInformation((cells[0]?.choices ?? []).map((_, e) => cells.map((c) => c.choices[e])));
}

/**
 * Co-activation, Pr(j | i) = c_ij / c_i: the share of an expert's tokens that chose another one, too
 * (OLMoE, arXiv 2409.02060, section 5.2). The diagonal is 1; rows of dead experts are NaN.
 *
 * @returns `[E][E]`
 */
export function coActivation(
  { pairs, choices }: Pick<RoutingCell, "pairs" | "choices">,
): number[][] {
  const e = choices.length;
  if (pairs.length !== e * e) {
    throw new RangeError("coActivation: this record was made without pairs of experts");
  }
  return choices.map((c, i) => choices.map((_, j) => c > 0 ? pairs[i * e + j] / c : NaN));
}
