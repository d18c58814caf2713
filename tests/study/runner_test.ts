import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lvlmConfig } from "../../src/models/mod.ts";
import {
  evaluate,
  keptModel,
  type PlannedRun,
  planStudy,
  recipeOf,
  runStudy,
  type RunStudyOptions,
  stepsOf,
  StudyDatabase,
  studyNamed,
  type StudyOutcome,
  type Variant,
  variantNamed,
} from "../../src/study/mod.ts";
import { lab } from "../../src/tensor/mod.ts";
import { DATA } from "../train/shared.ts";

const plansOf = (variants: readonly Variant[], ownConnectors = false): PlannedRun[] =>
  planStudy({ name: "own", title: "", variants }, { seeds: [3], steps: 3, ownConnectors });

const REFERENCE = [variantNamed("moiie")];

/** A study in a folder of its own. */
class Place implements Disposable {
  readonly folder = Deno.makeTempDirSync();
  readonly database = new StudyDatabase(`${this.folder}/study.db`);
  readonly said: string[] = [];

  run(plans: PlannedRun[], options: Partial<RunStudyOptions> = {}): Promise<StudyOutcome> {
    this.database.plan("own", plans);
    const { database, folder } = this;
    return runStudy(plans, {
      database,
      data: DATA,
      folder: `${folder}/runs`,
      log: (line) => this.said.push(line),
      ...options,
    });
  }

  /** All that a model run left, its first stage included. */
  left({ id, needs }: PlannedRun) {
    const { database } = this;
    return {
      records: [...needs ? database.records(needs) : [], ...database.records(id)],
      metrics: database.metrics(id),
      routing: database.routing(id),
      extras: database.extras(id),
    };
  }

  files(): string[] {
    return [...Deno.readDirSync(`${this.folder}/runs`)].map((f) => f.name);
  }

  [Symbol.dispose](): void {
    this.database.close();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

const modelOf = (plans: PlannedRun[]) => plans.find((p) => p.kind === "model")!;

/** What an unbroken run leaves that has a first stage of its own. */
async function alone(variant: Variant) {
  using place = new Place();
  const plans = plansOf([variant], true);
  assertEquals(await place.run(plans), { complete: true, failed: [] });
  return place.left(modelOf(plans));
}

const unbroken = await alone(REFERENCE[0]);

Deno.test("a model that starts from the shared first stage ends, bit by bit, as one with its own", async () => {
  using place = new Place();
  const progress: string[] = [];
  const plans = plansOf(REFERENCE);
  const outcome = await place.run(plans, {
    origin: { code: "abc" },
    onProgress: ({ plan, done, total }) => progress.push(`${plan.kind} ${done}/${total}`),
  });
  assertEquals(outcome, { complete: true, failed: [] });
  assertEquals(place.left(modelOf(plans)), unbroken);
  assertEquals(unbroken.records.map((r) => [r.stage[0], r.step]), [
    ...[0, 1, 2].map((step) => ["1", step]),
    ...[0, 1, 2].map((step) => ["2", step]),
  ]);
  assertEquals(progress, [
    ...["connector 1/6", "connector 2/6", "connector 3/6", "connector 3/6"],
    ...["model 4/6", "model 5/6", "model 6/6", "model 6/6"],
  ]);
  for (const { id, kind } of plans) {
    const run = place.database.run(id)!;
    assertEquals([run.status, run.code], ["done", "abc"]);
    if (kind !== "floor") assert(run.adapter && run.seconds > 0);
  }
  assertEquals(place.files(), [], "checkpoints of finished runs are gone");
  const metrics = unbroken.metrics.filter((m) => m.name === "accuracy");
  assertEquals([...new Set(metrics.map((m) => m.split))].sort(), ["comp", "style", "val"]);
  assertEquals(unbroken.routing.map((r) => r.benchmark).sort(), [
    "general",
    "hallucination",
    "knowledge",
    "ocr",
  ]);
  const floors = place.database.metrics(plans[0].id).filter((m) => m.split === "val");
  const expected = DATA.blindFloors("val");
  assertEquals(
    Object.fromEntries(floors.map((m) => [m.family, m.value])),
    { mean: expected.macro, ...expected.families },
  );
  // Nothing is left to do.
  assertEquals(await place.run(plans, { data: undefined }), { complete: true, failed: [] });
});

Deno.test("a study that is stopped in the middle of a run goes on from its checkpoint", async () => {
  using place = new Place();
  const plans = plansOf(REFERENCE), model = modelOf(plans);
  const abort = new AbortController();
  const stopped = await place.run(plans, {
    signal: abort.signal,
    onProgress: ({ plan, step }) => {
      if (plan === model && step?.record.step === 0) abort.abort();
    },
  });
  assertEquals(stopped, { complete: false, failed: [] });
  assertEquals(place.database.run(model.id)!.status, "planned");
  assertEquals(place.files(), [`${model.id}.safetensors`]);
  const steps: number[] = [];
  const resumed = await place.run(plans, {
    keep: true,
    onProgress: ({ step }) => void (step && steps.push(step.record.step)),
  });
  assertEquals(resumed, { complete: true, failed: [] });
  assert(steps.length > 0 && steps.length < 3, `steps ${steps} were done again`);
  assertEquals(place.left(model), unbroken);
  assertEquals(place.files(), [`${model.id}.safetensors`], "--keep keeps the weights");
  using _session = await lab();
  const kept = await keptModel(
    place.database.run(model.id)!.config,
    `${place.folder}/runs/${model.id}.safetensors`,
  );
  const [{ families }] = await evaluate(kept, DATA, { splits: ["val"], limit: 20 });
  for (const { name, family, split, value } of unbroken.metrics) {
    if (name === "accuracy" && split === "val" && family !== "mean") {
      assertEquals(families[family].accuracy, value);
    }
  }
});

Deno.test("a checkpoint that cannot be used is dropped, and the run begins anew", async () => {
  using place = new Place();
  const plans = plansOf(REFERENCE, true), model = modelOf(plans);
  Deno.mkdirSync(`${place.folder}/runs`);
  Deno.writeTextFileSync(`${place.folder}/runs/${model.id}.safetensors`, "half a fi");
  assertEquals(await place.run(plans), { complete: true, failed: [] });
  assertEquals(place.left(model), unbroken);
  assertStringIncludes(place.said.join("\n"), "it begins anew");
});

Deno.test("a run that fails is recorded, the others go on, and it is tried again the next time", async () => {
  using place = new Place();
  const dense = variantNamed("dense");
  const broken = { ...dense, name: "broken", settings: { instructionRate: NaN } };
  const plans = plansOf([broken, { ...dense, name: "sound" }]);
  const { complete, failed } = await place.run(plans);
  assertEquals([complete, failed.map((f) => f.plan.variant)], [false, ["broken"]]);
  assertStringIncludes(failed[0].error, "instructionRate = NaN");
  const states = place.database.runs().filter((r) => r.kind === "model")
    .map((r) => [r.variant, r.status, r.error]);
  assertEquals(states, [["broken", "failed", failed[0].error], ["sound", "done", undefined]]);
  assertEquals((await place.run(plans)).failed.length, 1);
});

Deno.test("a blind model sees no picture, neither in training nor in tests", async () => {
  using place = new Place();
  const data = new Proxy(DATA, {
    get(target, name) {
      if (name !== "samples") {
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      }
      // Other pictures with the same words.
      return (...args: Parameters<typeof target.samples>) =>
        target.samples(...args).map((s) => ({ ...s, image: s.image.map((v) => 255 - v) }));
    },
  });
  const plans = plansOf([variantNamed("blind")]);
  assertEquals((await place.run(plans, { data })).complete, true);
  assertEquals(place.left(modelOf(plans)), await alone(variantNamed("blind")));
});

Deno.test("every variant of every study has a model and a recipe with all of its steps", () => {
  for (const plan of planStudy(studyNamed("paper"), { seeds: [1] })) {
    if (plan.kind === "floor") continue;
    const { ffn, placement, preset } = plan.config;
    lvlmConfig(preset, { ffn, placement });
    const { stages } = recipeOf(plan.config, DATA);
    const own = plan.kind === "connector" ? stages.slice(0, 1) : stages.slice(plan.needs ? 1 : 0);
    assertEquals(own.reduce((n, s) => n + s.steps, 0), stepsOf(plan), plan.variant);
    assertEquals(stages.length, plan.variant === "three-stage" ? 3 : 2);
  }
});
