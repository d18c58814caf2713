/** A whole model as the authors' code saves it: their mixture, a SigLIP tower and a connector. */
import type { SafetensorsTensor } from "../../src/models/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import { writeJson, writeWeights } from "./checkpoint_shared.ts";
import { configOf, folderOf, tensorsOf } from "./fixture_models.ts";

/** Folders of the authors' language model and of a tower. */
export const LANGUAGE = folderOf("moiie_official/phi3_moiie"),
  TOWER = folderOf("models/siglip_vision");
/** Sizes of the language model. */
export const { vocab_size: vocabulary, hidden_size: width } = configOf(LANGUAGE) as Record<
  string,
  number
>;
const seen = Number(configOf(TOWER).hidden_size);

/** Random numbers. */
export function normals(stream: string, length: number, scale = 1): Float32Array<ArrayBuffer> {
  const random = new Random(1, stream);
  return Float32Array.from({ length }, () => scale * random.normal());
}
const weight = (stream: string, ...shape: number[]): SafetensorsTensor => ({
  dtype: "F32",
  shape,
  data: normals(stream, shape.reduce((a, b) => a * b), 0.2),
});
/** A connector of features of so many scales. */
const connector = (scales: number): Record<string, SafetensorsTensor> => ({
  "0.weight": weight("a", width, scales * seen),
  "0.bias": weight("b", width),
  "2.weight": weight("c", width, width),
  "2.bias": weight("d", width),
});
/** The connector of the features of one scale. */
export const CONNECTOR: Record<string, SafetensorsTensor> = connector(1);
/** The connector of those of three. */
export const WIDE_CONNECTOR: Record<string, SafetensorsTensor> = connector(3);

/** Writes the authors' mixture with a tower and a connector as their code names them. */
export function writeWhole(folder: string, more: Record<string, unknown> = {}): void {
  const all = [
    ...tensorsOf(LANGUAGE),
    ...[...tensorsOf(TOWER)].map(([name, t]) => [`model.vision_tower.vision_tower.${name}`, t]),
    ...Object.entries(more.use_s2 ? WIDE_CONNECTOR : CONNECTOR).map((
      [name, t],
    ) => [`model.mm_projector.${name}`, t]),
  ];
  writeWeights(folder, "model.safetensors", Object.fromEntries(all));
  writeJson(folder, "config.json", {
    ...configOf(LANGUAGE),
    model_type: "bunny-mm-phi3-moe-s",
    architectures: ["BunnyMMSPhi3MoEForCausalLM"],
    mm_projector_type: "mlp2x_gelu",
    mm_vision_tower: "tiny-siglip",
    vision_config: configOf(TOWER),
    ...more,
  });
}
