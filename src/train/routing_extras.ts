/** What routing options add to a training step: noise, z-loss, biases, drop rates. */
import { type Lvlm, type LvlmOutputs, modelMixtures } from "../models/mod.ts";
import { biasUpdate, type Coefficient, dropRates, routerColumns, zLoss } from "../moe/mod.ts";
import type { HostTensor, Random, Tensor } from "../tensor/mod.ts";

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
    const data = random.fork("jitter").uniforms(size, 1 - jitter, 1 + jitter);
    inputs.routerJitter = { data, shape };
  }
  if (noise > 0) {
    const data = random.fork("noise").normals(layers * tokens * columns, 0, noise);
    inputs.routerNoise = { data, shape: [layers, tokens, columns] };
  }
  return inputs;
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
  model: Lvlm,
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
