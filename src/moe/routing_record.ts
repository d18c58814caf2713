/**
 * What is recorded of the routing of many tokens: sums for each layer, modality and class of tokens.
 * Plain numbers, so a record can be stored, added to others, and measured without the model.
 */
import type { PoolTable } from "./table.ts";

/** Sums over the tokens of one modality and one class in one layer. */
export interface RoutingCell {
  /** Modality of the tokens, by which they are routed. */
  readonly modality: string;
  /** Class of the tokens, such as `patch`, `question` or `answer`. */
  readonly tokenClass: string;
  /** Number of tokens, padding left out. */
  readonly tokens: number;
  /** Top-k choices of each expert, `[E]`; what a capacity leaves out is counted too. */
  readonly choices: readonly number[];
  /** Tokens for which each expert was the likeliest, `[E]`. */
  readonly first: readonly number[];
  /** Sums of the routing probabilities, `[E]`. */
  readonly probability: readonly number[];
  /** Sum of the entropies of the tokens' probabilities, in nats. */
  readonly entropy: number;
  /** Sum of the differences of the largest and the second largest probability. */
  readonly margin: number;
  /** Sum of the largest probabilities. */
  readonly largest: number;
  /** Choices that full experts left out. */
  readonly dropped: number;
  /** Tokens that chose both experts, `[E × E]` row by row; empty if pairs were not recorded. */
  readonly pairs: readonly number[];
}

/** One mixture layer of a record. */
export interface RecordedLayer {
  /** The layer's place in the network, from 0. */
  readonly layer: number;
  /** One entry for each modality and class that had tokens. */
  readonly cells: readonly RoutingCell[];
}

/** Which experts the tokens of one set of inputs used. */
export interface RoutingRecord {
  /** Benchmark or family that the inputs came from. */
  readonly benchmark?: string;
  /** The experts, in the order of all lists `[E]`. */
  readonly experts: PoolTable["experts"];
  /** Experts that each modality may use. */
  readonly pools: readonly { readonly modality: string; readonly experts: readonly number[] }[];
  /** Experts that a token uses. */
  readonly topK: number;
  /** The mixture layers, shallowest first. */
  readonly layers: readonly RecordedLayer[];
}

/** Which part of a record is meant; what is not named is summed over. */
export interface CellFilter {
  /** Layer of the network. */
  layer?: number;
  /** Modality of the tokens. */
  modality?: string;
  /** Class of the tokens. */
  tokenClass?: string;
}

const sumLists = (a: readonly number[], b: readonly number[]): number[] =>
  a.length === 0 ? [...b] : a.map((v, i) => v + (b[i] ?? 0));

/** The sums of two cells; names are those of the first. */
function addCells(a: RoutingCell, b: RoutingCell): RoutingCell {
  return {
    modality: a.modality,
    tokenClass: a.tokenClass,
    tokens: a.tokens + b.tokens,
    choices: sumLists(a.choices, b.choices),
    first: sumLists(a.first, b.first),
    probability: sumLists(a.probability, b.probability),
    entropy: a.entropy + b.entropy,
    margin: a.margin + b.margin,
    largest: a.largest + b.largest,
    dropped: a.dropped + b.dropped,
    pairs: sumLists(a.pairs, b.pairs),
  };
}

/** A cell without tokens. */
function emptyCell(experts: number, names: Pick<RoutingCell, "modality" | "tokenClass">) {
  const zeros = new Array<number>(experts).fill(0);
  return {
    ...names,
    tokens: 0,
    choices: zeros,
    first: zeros,
    probability: zeros,
    entropy: 0,
    margin: 0,
    largest: 0,
    dropped: 0,
    pairs: [],
  };
}

/**
 * The sums over a part of a record: all cells that fit the filter together. Empty (0 tokens) if none
 * does. What is summed over has the name `all`.
 */
export function cellOf(record: RoutingRecord, filter: CellFilter = {}): RoutingCell {
  const { layer, modality, tokenClass } = filter;
  const cells = record.layers.flatMap((l) =>
    layer === undefined || l.layer === layer ? l.cells : []
  );
  const names = { modality: modality ?? "all", tokenClass: tokenClass ?? "all" };
  return cells
    .filter((c) =>
      (modality === undefined || c.modality === modality) &&
      (tokenClass === undefined || c.tokenClass === tokenClass)
    )
    .reduce<RoutingCell>(addCells, emptyCell(record.experts.length, names));
}

/**
 * The sum of several records of models of one table, such as those of all families.
 *
 * @throws {RangeError} if there is none, or they are of different experts.
 */
export function addRecords(
  records: readonly RoutingRecord[],
  benchmark?: string,
): RoutingRecord {
  if (records.length === 0) throw new RangeError("addRecords: there are no records");
  const [first] = records, names = first.experts.map((e) => e.name).join();
  for (const { experts } of records) {
    const own = experts.map((e) => e.name).join();
    if (own !== names) {
      throw new RangeError(
        `addRecords: records of different experts, [${names}] and [${own}], cannot be added`,
      );
    }
  }
  const layers = [...new Set(records.flatMap((r) => r.layers.map((l) => l.layer)))]
    .sort((a, b) => a - b);
  return {
    ...first,
    benchmark,
    layers: layers.map((layer) => ({ layer, cells: addedCells(records, layer) })),
  };
}

function addedCells(records: readonly RoutingRecord[], layer: number): RoutingCell[] {
  const cells = records.flatMap((r) => r.layers.filter((l) => l.layer === layer))
    .flatMap((l) => l.cells);
  return [...Map.groupBy(cells, (c) => `${c.modality} ${c.tokenClass}`).values()]
    .map((group) => group.reduce(addCells));
}

/** Experts that the tokens of a modality may use; all for `all` and for unknown names. */
export function poolOf(
  { experts, pools }: Pick<RoutingRecord, "experts" | "pools">,
  modality: string,
): readonly number[] {
  return pools.find((p) => p.modality === modality)?.experts ?? experts.map((_, i) => i);
}

/** Numbers of the shared experts: those that stand in the pools of several modalities. */
export function sharedExperts(
  { experts, pools }: Pick<RoutingRecord, "experts" | "pools">,
): number[] {
  return experts.map((_, e) => e)
    .filter((e) => pools.filter((p) => p.experts.includes(e)).length > 1);
}
