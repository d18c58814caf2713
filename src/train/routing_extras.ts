/** What routing options add to a training step: noise, z-loss, biases, drop rates. */
import { type Lvlm, type LvlmOutputs, modelMixtures } from "../models/mod.ts";
import { biasUpdate, type Coefficient, dropRates, routerColumns, zLoss } from "../moe/mod.ts";
import type { HostTensor, Random, Tensor } from "../tensor/mod.ts";
import type { RoutedModel } from "./routing_reader.ts";

/**
 * Noise for the routers of one step, as inputs of a compiled function: factors from 1 - jitter to
 * 1 + jitter on their inputs, normal noise on their outputs (see `RoutingOptions`). Philox numbers made
 * on the host from the step's number, so that a resumed run sees the same ones. Nothing for a model
 * without experts, or whose configuration asks for none.
 *
 * @param tokens of a batch, padding included
 */
export function routingNoise(
  model: Lvlm,
  tokens: number,
  random: Random,
): Record<string, HostTensor> {
  const { routing = {}, ffn, language } = model.config;
  const { jitter = 0, noise = 0 } = routing;
  const layers = modelMixtures(model).length, columns = routerColumns(ffn);
  const inputs: Record<string, HostTensor> = {};
  if (layers === 0 || columns === 0) return inputs;
  if (jitter > 0) {
    const shape = [layers, tokens, language.width], size = layers * tokens * language.width;
    inputs.routerJitter = { data: factors(random.fork("jitter"), size, jitter), shape };
  }
  if (noise > 0) {
    const data = random.fork("noise").normals(layers * tokens * columns, 0, noise);
    inputs.routerNoise = { data, shape: [layers, tokens, columns] };
  }
  return inputs;
}

/**
 * Numbers spread evenly between 1 - jitter and 1 + jitter in 256 steps, four from one random word:
 * there are many, and bf16, in which models draw them, tells no more apart.
 */
function factors(random: Random, size: number, jitter: number): Float32Array {
  const all = new Float32Array(size);
  let word = 0;
  for (let i = 0; i < size; i++) {
    word = i % 4 === 0 ? random.uint32() : word >>> 8;
    all[i] = 1 + jitter * (((word & 255) + 0.5) / 128 - 1);
  }
  return all;
}

/** What a step computes besides, where the options ask for it. */
export interface RoutingExtras extends Record<string, Tensor | readonly Tensor[]> {
  /** Updates of the biases of loss-free balancing: effects. */
  biases: readonly Tensor[];
}

/**
 * Results of a training step that routing options ask for: `zLoss` (a scalar, with its coefficient),
 * `dropRates` (`[modalities]`, shares of the choices that full experts left out), and the updates of
 * biases.
 */
export function routingExtras(
  model: RoutedModel,
  { routings, moeLayers }: Pick<LvlmOutputs, "routings" | "moeLayers">,
  coefficient: Coefficient,
): RoutingExtras & { zLoss?: Tensor } {
  const biases = moeLayers.flatMap((layer, i) =>
    biasUpdate(model.language.blocks[layer].ffn, routings[i]) ?? []
  );
  const limited = routings.some((r) => r.kept);
  return {
    biases,
    ...(coefficient !== 0 && { zLoss: zLoss(routings, coefficient) }),
    ...(limited && { dropRates: dropRates(routings) }),
  };
}
