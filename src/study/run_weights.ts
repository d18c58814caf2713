/** The weights of runs: of shared first stages, and of finished models that were kept. */
import {
  encodeSafetensors,
  loadWeights,
  type Lvlm,
  lvlm,
  modelParameters,
  parseSafetensors,
  readSafetensors,
  upcycle,
} from "../models/mod.ts";
import { Random } from "../tensor/mod.ts";
import type { StudyDatabase } from "./database.ts";
import type { RunConfig } from "./grid.ts";

/** The weights that a finished run has left, if it was told to keep them. */
export function keptWeights(database: StudyDatabase, id: string): string {
  return `${database.path}.runs/${id}.safetensors`;
}

/**
 * The model of a finished run whose weights were kept, for everything that one may still want to ask
 * it. Needs an open session.
 *
 * @param config the run's configuration, from its row
 * @param path the file, from {@linkcode keptWeights}
 * @throws {Deno.errors.NotFound} if there is no such file. @throws {RangeError} if it does not fit.
 */
export async function keptModel(config: RunConfig, path: string): Promise<Lvlm> {
  const { preset, seed, ffn, placement } = config;
  using file = readSafetensors(path);
  const model = await lvlm(preset, { ffn, placement, seed });
  await upcycle(model, new Random(seed, "upcycle"));
  loadWeights(file, model);
  return model;
}

/** Sets a model's connector from the file that a shared first stage left. */
export function setConnector(model: Lvlm, bytes: Uint8Array | undefined, id: string): void {
  if (!bytes) throw new Error(`the connector of run ${id} is missing in the database`);
  using file = parseSafetensors(bytes, `connector of run ${id}`);
  loadWeights(file, model, (path) => path.startsWith("connector."));
}

/** The connector's weights as a safetensors file. */
export async function connectorFile(model: Lvlm): Promise<Uint8Array> {
  const parts = [...modelParameters(model)].filter(([path]) => path.startsWith("connector."));
  const tensors = await Promise.all(
    parts.map(async ([path, t]) =>
      [`model.${path}`, {
        dtype: "F32",
        shape: [...t.shape],
        data: await t.data() as Float32Array,
      }] as const
    ),
  );
  return encodeSafetensors(Object.fromEntries(tensors));
}
