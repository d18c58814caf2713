/** The parameters of a model by path, and reading them from files. */
import { buffers, parameters } from "../nn/mod.ts";
import { setValues, type Tensor } from "../tensor/mod.ts";
import type { Lvlm } from "./lvlm.ts";
import type { Safetensors } from "./safetensors.ts";

/** The parameters of a model by path, such as `language.blocks.1.ffn.down`. */
export function modelParameters(model: Lvlm): Map<string, Tensor> {
  const { vision, connector, language } = model;
  return parameters({ vision, connector, language });
}

/**
 * What training changes in a model, by path: the parameters, then the buffers that no gradient
 * reaches, such as the biases of loss-free balancing, `language.blocks.1.ffn.buffers.bias`.
 */
export function modelState(model: Lvlm): Map<string, Tensor> {
  const { vision, connector, language } = model;
  return new Map([...modelParameters(model), ...buffers({ vision, connector, language })]);
}

/**
 * Sets parameters and buffers by path from the tensors `model.PATH` of a file.
 *
 * @throws {RangeError} if one is missing or has another shape. @throws {TypeError} if one holds no
 * floats. Nothing is changed then.
 */
export function loadWeights(
  file: Safetensors,
  model: Lvlm,
  paths: (path: string) => boolean = () => true,
): void {
  const wanted = [...modelState(model)].filter(([path]) => paths(path));
  for (const [path, t] of wanted) {
    const name = `model.${path}`;
    const shape = file.has(name) ? file.entry(name).shape : undefined;
    if (!shape || shape.join() !== t.shape.join()) {
      throw new RangeError(
        `weights: the file has ${
          shape ? `[${shape}]` : "nothing"
        } for ${path}, the model [${t.shape}]`,
      );
    }
  }
  const values = wanted.map(([path]) => file.float32(`model.${path}`));
  wanted.forEach(([, t], i) => setValues(t, values[i]));
}
