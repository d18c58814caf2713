/** All benchmarks, by name. */

import { unknownName } from "../../tensor/nearest.ts";
import { ai2d } from "./ai2d.ts";
import { chartqa } from "./chartqa.ts";
import { docvqa } from "./docvqa.ts";
import { gqa } from "./gqa.ts";
import { hallusionBench } from "./hallusion_bench.ts";
import { mathvista } from "./mathvista.ts";
import { mmVet } from "./mm_vet.ts";
import { mmbench } from "./mmbench.ts";
import { mme } from "./mme.ts";
import { mmmu } from "./mmmu.ts";
import { mmvp } from "./mmvp.ts";
import { pope } from "./pope.ts";
import { scienceqa } from "./scienceqa.ts";
import { seedBench } from "./seed_bench.ts";
import { textvqa } from "./textvqa.ts";
import type { BenchmarkSpec } from "./types.ts";
import { vqav2 } from "./vqav2.ts";

/** All benchmarks that can be read, asked and scored. */
export const BENCHMARKS: readonly BenchmarkSpec[] = [
  pope,
  mme,
  gqa,
  vqav2,
  textvqa,
  scienceqa,
  mmbench,
  seedBench,
  mmmu,
  ai2d,
  chartqa,
  docvqa,
  hallusionBench,
  mmvp,
  mmVet,
  mathvista,
];

/** A benchmark by its name. @throws {RangeError} if there is none of that name */
export function benchmark(name: string): BenchmarkSpec {
  const found = BENCHMARKS.find((one) => one.name === name);
  if (found) return found;
  throw unknownName("benchmark", name, BENCHMARKS.map((one) => one.name));
}
