/**
 * Checkpoints: weights, optimizer state and position of a training in one safetensors file, written
 * under a temporary name and renamed, so that a kill at any moment leaves a whole file.
 */
import {
  loadWeights,
  type Lvlm,
  modelState,
  readSafetensors,
  type Safetensors,
  writeSafetensors,
} from "../models/mod.ts";
import type { LossScaler } from "./loss_scale.ts";
import type { AdamW } from "./optimizer.ts";
import type { StepRecord } from "./loop.ts";

/** Where a training stands. */
export interface Position {
  /** Number of the stage, from 0. */
  stage: number;
  /** Finished steps of the stage. */
  step: number;
  /** What happened so far, stage by stage. */
  records: StepRecord[][];
  /** Settings of the recipe and configuration of the model, as JSON text: a resumed run's must be equal. */
  fingerprint: string;
}

const FORMAT = "moiie-lab checkpoint 1";

/** Writes a checkpoint. @param scaler the scale of the loss, where it is scaled */
export async function saveCheckpoint(
  path: string,
  model: Lvlm,
  optimizer: AdamW | undefined,
  position: Position,
  scaler?: LossScaler,
): Promise<void> {
  const weights = [...modelState(model)];
  const values = await Promise.all(weights.map(([, t]) => t.data()));
  const tensors: Record<string, { dtype: "F32"; shape: number[]; data: Float32Array }> = {};
  weights.forEach(([name, t], i) => {
    tensors[`model.${name}`] = {
      dtype: "F32",
      shape: [...t.shape],
      data: values[i] as Float32Array,
    };
  });
  for (const { path: name, shape, m, v } of await optimizer?.state() ?? []) {
    tensors[`adamw.m.${name}`] = { dtype: "F32", shape: [...shape], data: m };
    tensors[`adamw.v.${name}`] = { dtype: "F32", shape: [...shape], data: v };
  }
  if (scaler) tensors.lossScale = { dtype: "F32", shape: [2], data: await scaler.values() };
  await writeSafetensors(path, tensors, {
    format: FORMAT,
    stage: String(position.stage),
    step: String(position.step),
    records: JSON.stringify(position.records),
    fingerprint: position.fingerprint,
    config: JSON.stringify(model.config),
  });
}

/**
 * Opens a checkpoint and reads where it stands.
 *
 * @returns undefined if there is no file
 * @throws {RangeError} if it belongs to another recipe or model, or is cut. @throws {SyntaxError} if
 * it is no checkpoint of this library.
 */
export function openCheckpoint(
  path: string,
  fingerprint: string,
): { position: Position; file: Safetensors } | undefined {
  let file: Safetensors;
  try {
    file = readSafetensors(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    const { metadata } = file;
    if (metadata.format !== FORMAT) {
      throw new SyntaxError(`${path} is no checkpoint of this library (format ${metadata.format})`);
    }
    if (metadata.fingerprint !== fingerprint) {
      throw new RangeError(
        `${path} belongs to another run (${firstDifference(metadata.fingerprint, fingerprint)}); ` +
          `choose another path, or delete it to start anew`,
      );
    }
    const position = {
      stage: Number(metadata.stage),
      step: Number(metadata.step),
      records: JSON.parse(metadata.records) as StepRecord[][],
      fingerprint,
    };
    return { position, file };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Text around the first place where two fingerprints differ. */
function firstDifference(saved: string, now: string): string {
  let i = 0;
  while (i < saved.length && saved[i] === now[i]) i++;
  const from = Math.max(0, saved.lastIndexOf('"', i - 1) - 24);
  return `saved …${saved.slice(from, i + 24)}…, now …${now.slice(from, i + 24)}…`;
}

/**
 * Sets the weights (and the optimizer's state, and the scale of the loss) from a checkpoint.
 *
 * @throws {RangeError} if a parameter or its state is missing or has another shape; no weight is
 * changed then.
 */
export function restoreCheckpoint(
  file: Safetensors,
  model: Lvlm,
  optimizer: AdamW | undefined,
  scaler?: LossScaler,
): void {
  if (scaler && !file.has("lossScale")) {
    throw new RangeError("checkpoint: it has no loss scale, so it is of a training in f32");
  }
  optimizer?.restore((path) =>
    file.has(`adamw.m.${path}`) && file.has(`adamw.v.${path}`)
      ? { m: file.float32(`adamw.m.${path}`), v: file.float32(`adamw.v.${path}`) }
      : undefined
  );
  loadWeights(file, model);
  scaler?.restore(file.float32("lossScale"));
}
