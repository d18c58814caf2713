/**
 * All cases of a folder.
 *
 * @module
 */
import { type Case, Skip } from "./case.ts";
import { containerCases } from "./containers.ts";
import type { FileEntry, Folder } from "./folder.ts";
import { imageCases } from "./images.ts";
import { mixtureCases } from "./mixture.ts";
import { modelCases } from "./model_cases.ts";
import { operationCases } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";
import { optimizerCases } from "./optimizers.ts";
import { scheduleCases } from "./schedules.ts";

/** A case for something that is not built. */
function unbuilt(group: string, name: string, reason: string): Case {
  return {
    group,
    name,
    run: () => {
      throw new Skip(reason);
    },
  };
}

/** Kinds of files that hold nothing to compare with: inputs of the other files. */
const INPUTS: ReadonlySet<string> = new Set(["weights", "config", "json"]);

/** The cases of one file; which they are follows from its folder and kind. */
function casesOf(folder: Folder, file: FileEntry): Case[] {
  const parts = file.path.replace(/\.\w+$/, "").split("/");
  const [top] = parts, name = parts.at(-1)!, group = parts.slice(0, -1).join("/");
  if (file.kind === "schedule") return scheduleCases(folder, file);
  if (file.kind === "safetensors") return containerCases(folder, file);
  if (file.kind === "image") return imageCases(folder, file);
  if (INPUTS.has(file.kind)) return [];
  if (file.kind === "op") {
    return optimizerCases(folder, file, name) ?? operationCases(folder, file, OPERATIONS[name]);
  }
  if (top === "moiie") return mixtureCases(folder, file);
  if (top === "moiie_official" || top === "models") return modelCases(folder, file);
  return [unbuilt(group, name, "not built yet")];
}

/** The cases of a folder, in the order of its index. */
export function allCases(folder: Folder): Case[] {
  return folder.files.flatMap((file) => casesOf(folder, file));
}
