/**
 * What the routing figures draw: how often each expert was chosen, per layer and modality.
 *
 * Plain numbers, so a summary can be stored with a run and drawn without the model.
 *
 * @module
 */

/** One expert of a mixture-of-experts layer. */
export interface ExpertName {
  /** Short name: `V1`, `L1`, `S1`, `S2`, … */
  readonly name: string;
  /** Group of the expert: `"vision"`, `"language"`, `"shared"`, or a name of your own. */
  readonly group: string;
}

/** Choices made for the tokens of one modality in one layer. */
export interface ModalityCounts {
  /** Modality of the tokens: `"image"`, `"text"`, … */
  readonly name: string;
  /** Number of tokens routed. */
  readonly tokens: number;
  /** Top-k choices per expert, `[experts]`, in the order of {@linkcode RoutingSummary.experts}. */
  readonly counts: readonly number[];
  /**
   * Share of the choices that the shared experts get from a router that chooses at random:
   * |shared| / |pool of the modality|, 0 when there are no shared experts.
   */
  readonly chanceShared: number;
}

/** One mixture-of-experts layer. */
export interface LayerCounts {
  /** Number shown on the axis: the layer's place in the network or among the MoE layers. */
  readonly layer: number;
  /** Counts, one entry a modality. */
  readonly modalities: readonly ModalityCounts[];
}

/** Expert choices of one model on one set of inputs. */
export interface RoutingSummary {
  /** The experts, in the order of every `counts` list. */
  readonly experts: readonly ExpertName[];
  /** The layers, shallowest first. */
  readonly layers: readonly LayerCounts[];
  /** Benchmark or family that the inputs came from. */
  readonly benchmark?: string;
}

/**
 * Checks that several summaries fit in one figure.
 *
 * @param summaries One summary, or a list of them.
 * @returns The list.
 * @throws {RangeError} If the list is empty, if a layer has another number of counts than there
 * are experts, or if the summaries name different experts.
 */
export function checkSummaries(
  summaries: RoutingSummary | readonly RoutingSummary[],
): readonly RoutingSummary[] {
  const list: readonly RoutingSummary[] = isList(summaries) ? summaries : [summaries];
  if (list.length === 0 || list.some((summary) => summary.layers.length === 0)) {
    throw new RangeError(
      "A routing figure needs at least one summary with one layer; record the routing of a model " +
        "with mixture-of-experts layers first.",
    );
  }
  const names = list[0].experts.map((expert) => expert.name).join(", ");
  for (const summary of list) {
    const own = summary.experts.map((expert) => expert.name).join(", ");
    if (own !== names) {
      throw new RangeError(
        `Cannot draw routing of different experts in one figure: [${names}] and [${own}]. ` +
          "Draw one figure a model.",
      );
    }
    for (const { layer, modalities } of summary.layers) {
      for (const { name, counts } of modalities) {
        if (counts.length !== summary.experts.length) {
          throw new RangeError(
            `Layer ${layer}, ${name} tokens: ${counts.length} counts for ` +
              `${summary.experts.length} experts [${own}].`,
          );
        }
      }
    }
  }
  return list;
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/**
 * Names of the modalities of some summaries, in order of first appearance.
 *
 * @param summaries Routing summaries.
 * @returns Distinct modality names.
 */
export function modalityNames(summaries: readonly RoutingSummary[]): string[] {
  return [
    ...new Set(
      summaries.flatMap(({ layers }) => layers.flatMap((l) => l.modalities.map((m) => m.name))),
    ),
  ];
}

/**
 * Choices of one layer for the tokens of one modality.
 *
 * @param summary A routing summary.
 * @param layer Number of the layer.
 * @param modality Name of the modality.
 * @returns The counts, or undefined where the layer or the modality is not in the summary.
 */
export function countsOf(
  summary: RoutingSummary,
  layer: number,
  modality: string,
): ModalityCounts | undefined {
  return summary.layers.find((entry) => entry.layer === layer)?.modalities
    .find(({ name }) => name === modality);
}
