/**
 * Learning-rate tables: the rate of every step, from a JSON file.
 *
 * @module
 */
import {
  constantWithWarmup,
  cosineWithWarmup,
  linearWithWarmup,
  type Schedule,
} from "../../train/schedule.ts";
import { type Case, Skip } from "./case.ts";
import { compare } from "./compare.ts";
import { type FileEntry, type Folder, objectAt } from "./folder.ts";

/** A parameter that is a number, or an error that names it. */
function number(params: Readonly<Record<string, unknown>>, name: string): number {
  const value = params[name];
  if (typeof value !== "number") {
    throw new SyntaxError(`schedule parameter "${name}" should be a number, it is ${value}`);
  }
  return value;
}

/** The schedule that a name and its parameters mean, as factors on the base rate. */
function scheduleOf(name: string, params: Record<string, unknown>, base: number): Schedule {
  const warmup = () => "num_warmup_steps" in params ? number(params, "num_warmup_steps") : 0;
  const total = () => number(params, "num_training_steps");
  if (/CosineAnnealing/.test(name)) {
    return cosineWithWarmup(0, number(params, "T_max"), 0.5, number(params, "eta_min") / base);
  }
  if (name.startsWith("cosine") && !/restart/.test(name)) {
    const cycles = (params.num_cycles ?? 0.5) as number;
    return cosineWithWarmup(warmup(), total(), cycles, (params.min_lr_rate ?? 0) as number);
  }
  if (name.startsWith("linear")) return linearWithWarmup(warmup(), total());
  if (name.startsWith("constant")) return constantWithWarmup(warmup());
  throw new Skip("no such schedule here");
}

/** The cases of a file of schedules. */
export function scheduleCases(folder: Folder, file: FileEntry): Case[] {
  const { schedules } = objectAt(folder.json(file.path), file.path);
  return Object.entries(objectAt(schedules, `${file.path}: schedules`)).map(([name, value]) => ({
    group: file.path.replace(/\.json$/, ""),
    name,
    run: () => {
      const where = `${file.path}: "${name}"`;
      const entry = objectAt(value, where);
      const base = number(entry, "base_lr"), lr = entry.lr;
      if (!Array.isArray(lr)) throw new SyntaxError(`${where} should have a list "lr"`);
      const schedule = scheduleOf(name, objectAt(entry.params, `${where}: params`), base);
      const got = { shape: [lr.length], values: lr.map((_, step) => base * schedule(step)) };
      // The tolerances that the file's note gives; PyTorch's own is a recurrence.
      const rtol = name.startsWith("torch") ? 1e-9 : 1e-12;
      return [compare(got, { name: "lr", shape: [lr.length], values: lr, atol: 1e-18, rtol })];
    },
  }));
}
