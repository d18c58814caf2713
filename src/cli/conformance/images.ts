/**
 * Image processors: pictures and what a `preprocessor_config.json` makes of them.
 *
 * @module
 */
import { type PreprocessorConfig, processImage } from "../../data/mod.ts";
import type { Case } from "./case.ts";
import { compare, expected } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";

/** The cases of a file of pictures; `PICTURE.CASE` takes the picture `PICTURE.in.image_hwc_u8`. */
export function imageCases(folder: Folder, file: FileEntry): Case[] {
  const group = file.path.split("/").slice(0, -1).join("/");
  const cases = objectAt(file.params.cases, `${file.path}: params.cases`);
  return Object.entries(cases).map(([name, value]) => ({
    group,
    name,
    run: () => {
      const where = `${file.path}: case "${name}"`;
      const config = objectAt(objectAt(value, where).preprocessor_config, `${where}: config`);
      const data = folder.open(file);
      const picture = data.tensor(`${name.split(".")[0]}.in.image_hwc_u8`);
      const [height, width] = picture.shape;
      const image = { height, width, data: Uint8Array.from(picture.data as Int32Array) };
      // The fields come from a file; processImage() checks what it reads of them.
      const got = processImage(image, config as unknown as PreprocessorConfig);
      const want = expected(file, data, `${name}.out.pixel_values`);
      return [compare({ shape: got.shape, values: got.data }, want)];
    },
  }));
}
