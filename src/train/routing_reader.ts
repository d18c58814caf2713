/**
 * Routing records of training steps. A step gives what its routers decided; only of the steps that are
 * recorded it is summed up, by a small program of its own that runs right after the step.
 */
import { type FeedForward, recordOf, type Routing, routingSums } from "../moe/mod.ts";
import { evaluate, type Outputs, type Tensor } from "../tensor/mod.ts";
import type { RoutingReader } from "./loop.ts";
import { TOKEN_CLASSES } from "./token_classes.ts";

/** Results of a step that its routing record is made of, one for each mixture layer. */
export interface RoutedTokens extends Record<string, Tensor | readonly Tensor[]> {
  /** Chosen experts, `[T, k]`. */
  chosen: readonly Tensor[];
  /** Routing probabilities, `[T, E]`. */
  probabilities: readonly Tensor[];
  /** Choices that experts had room for, `[T, k]`; empty without a capacity. */
  kept: readonly Tensor[];
  /** Modality of every token, `[T]`, once for all layers. */
  modality: readonly Tensor[];
  /** Class of every token, `[T]`, once for all layers: see `tokenClasses`. */
  classes: readonly Tensor[];
}

/**
 * What a step gives for its record: nothing without mixture layers.
 *
 * @param classes class of every token, `[T]` i32: see `tokenClasses`
 */
export function routedTokens(
  routings: readonly Routing[],
  classes: Tensor,
): RoutedTokens | Record<string, never> {
  if (routings.length === 0) return {};
  return {
    chosen: routings.map((r) => r.chosen),
    probabilities: routings.map((r) => r.probabilities),
    kept: routings.flatMap((r) => r.kept ?? []),
    modality: [routings[0].modality],
    classes: [classes],
  };
}

/** A model as far as its routing goes: a language model with feed-forward layers. */
export interface RoutedModel {
  /** The language model. */
  readonly language: { readonly blocks: readonly { readonly ffn: FeedForward }[] };
}

/**
 * Records the routing of every so many steps of a model's training.
 *
 * @param every steps from one record to the next
 */
export function routingReader(model: RoutedModel, every: number): RoutingReader {
  const { blocks } = model.language;
  const layers = blocks.flatMap((b, i) => b.ffn.table.experts.length > 1 ? [i] : []);
  const { table } = blocks[layers[0] ?? 0].ffn;
  const names = TOKEN_CLASSES, pairs = false;
  return {
    every,
    sum: async (outputs) => {
      if (!isRouted(outputs)) return undefined;
      const { chosen, probabilities, kept, modality: [modality], classes: [classes] } = outputs;
      const sums = routingSums(
        chosen.map((_, l) => ({
          table,
          modality,
          chosen: chosen[l],
          probabilities: probabilities[l],
          kept: kept[l],
        })),
        { classes, names, pairs },
      );
      await evaluate(sums);
      return sums;
    },
    read: (values) => recordOf(values, { table, layers, names, pairs }),
  };
}

function isRouted(outputs: Outputs): outputs is RoutedTokens {
  return "chosen" in outputs && "probabilities" in outputs;
}
