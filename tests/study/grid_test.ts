import { assert, assertEquals, assertThrows } from "@std/assert";
import { moiie, vanillaMoe } from "../../src/moe/mod.ts";
import {
  canonicalJson,
  comparisons,
  DATA_SHARES,
  type PlannedRun,
  planStudy,
  REFERENCE,
  shareOf,
  STUDIES,
  type Study,
  studyNamed,
  type Variant,
  variantNamed,
  VARIANTS,
  withDataShare,
} from "../../src/study/mod.ts";

const study = (...variants: Variant[]): Study => ({ name: "own", title: "", variants });
const models = (plans: readonly PlannedRun[]) => plans.filter((p) => p.kind === "model");
const idsOf = (variant: Variant, seeds = [7]) =>
  models(planStudy(study(variant), { seeds })).map((p) => p.id);

Deno.test("a run's id stays what it was, so that recorded runs are found again", () => {
  const plans = planStudy(studyNamed("paper"), { seeds: [7] });
  const ids = Object.fromEntries(plans.map((p) => [p.variant, p.id]));
  assertEquals(ids.floor, "36185f861f5b5a24");
  assertEquals(ids.connector, "854631049850b6fa");
  assertEquals(ids.moiie, "b5f8db7a25d202f5");
  assertEquals(ids["moiie-8-unbalanced"], "88618cd714bf909f");
  assertEquals(ids["moiie-full"], "dd59064c8adc3286");
  assertEquals(ids["moiie-aux-0.01"], "c2903c97524309dc");
  assertEquals(ids["three-stage"], "4a05e611f4e6b1d7");
});

Deno.test("a run's id depends on what its result depends on, and on nothing else", () => {
  const base: Variant = { name: "one", label: "One", ffn: moiie() };
  const [id] = idsOf(base);
  const same: Variant[] = [
    { ...base, name: "other", label: "Other" },
    { ...base, placement: "interleaved", recipe: "two-stage", dataShare: 1, settings: {} },
    { ...base, settings: { auxiliary: 0.001 } },
    { ...base, ffn: { ...moiie(), variant: "called otherwise" } },
    { ...base, blind: undefined },
  ];
  for (const variant of same) assertEquals(idsOf(variant), [id], JSON.stringify(variant));
  const other: Variant[] = [
    { ...base, ffn: vanillaMoe() },
    { ...base, ffn: moiie({ topK: 1 }) },
    { ...base, ffn: moiie({ renormalise: false }) },
    { ...base, placement: "full" },
    { ...base, placement: [1] },
    { ...base, recipe: "three-stage" },
    { ...base, dataShare: 0.5 },
    { ...base, blind: true },
    { ...base, settings: { auxiliary: 0.01 } },
    { ...base, settings: { reduction: "layers" } },
  ];
  const ids = other.flatMap((variant) => idsOf(variant));
  assertEquals(new Set([id, ...ids, ...idsOf(base, [8])]).size, other.length + 2);
  const smoke = models(planStudy(study(base), { seeds: [7], steps: 430 }));
  assert(smoke[0].id !== id, "a smoke run is no real one, even with as many steps");
});

Deno.test("variants of a seed share one connector, unless they ask for their own", () => {
  const plans = planStudy(studyNamed("ablations"), { seeds: [7, 8] });
  assertEquals(plans.filter((p) => p.kind === "floor").length, 1);
  const connectors = plans.filter((p) => p.kind === "connector");
  assertEquals(connectors.map((p) => p.config.seed), [7, 8]);
  for (const model of models(plans)) {
    const connector = connectors.find((c) => c.config.seed === model.config.seed)!;
    assertEquals(model.needs, connector.id);
    assert(plans.indexOf(connector) < plans.indexOf(model));
  }
  const own = planStudy(studyNamed("ablations"), { seeds: [7, 8], ownConnectors: true });
  assertEquals(own.filter((p) => p.kind === "connector"), []);
  assertEquals(models(own).map((p) => p.id), models(plans).map((p) => p.id));
  const blind = planStudy(study(variantNamed("blind")), { seeds: [7] });
  assertEquals(models(blind)[0].needs, undefined, "a shared connector has seen pictures");
  const longer: Variant = { name: "x", label: "x", ffn: moiie(), settings: { connectorSteps: 9 } };
  const two = planStudy(study(variantNamed(REFERENCE), longer), { seeds: [7] });
  assertEquals(two.filter((p) => p.kind === "connector").length, 2);
});

Deno.test("the study of table 4 has its five configurations, the paper's own first", () => {
  const { variants } = studyNamed("ablations");
  assertEquals(variants.map((v) => v.name), [
    "moiie",
    "moiie-8-balanced",
    "moiie-8-unbalanced",
    "moiie-full",
    "moiie-aux-0.01",
  ]);
  const groups = (v: Variant) =>
    ["vision", "language", "shared"].map((g) => v.ffn.experts.filter((e) => e.group === g).length);
  assertEquals(variants.map(groups), [[1, 1, 2], [2, 2, 4], [3, 3, 2], [1, 1, 2], [1, 1, 2]]);
  const plans = models(planStudy(studyNamed("ablations"), { seeds: [7] }));
  assertEquals(plans.map((p) => p.config.placement === "full"), [false, false, false, true, false]);
  assertEquals(plans.map((p) => p.config.settings.auxiliary), [0.001, 0.001, 0.001, 0.001, 0.01]);
});

Deno.test("the study of everything runs what studies share once", () => {
  const all = planStudy(studyNamed("paper"), { seeds: [7] }).map((p) => p.id);
  assertEquals(new Set(all).size, all.length);
  for (const { name } of STUDIES) {
    for (const plan of planStudy(studyNamed(name), { seeds: [7] })) assert(all.includes(plan.id));
  }
});

Deno.test("the study of data compares variants that were trained on as much", () => {
  const groups = comparisons(studyNamed("scale"));
  assertEquals(groups.map((g) => g[0].dataShare ?? 1), DATA_SHARES.toReversed());
  for (const group of groups) assert(group[0].name.startsWith(REFERENCE));
  const steps = models(planStudy(studyNamed("scale"), { seeds: [7] }))
    .filter((p) => p.variant.startsWith(REFERENCE)).map((p) => p.config.settings.instructionSteps);
  assertEquals(steps, [430, 318, 206]);
  assertEquals(comparisons(studyNamed("main")).length, 1);
  for (const share of [0, -1, 1.5, NaN]) {
    assertThrows(() => withDataShare(VARIANTS[0], share), RangeError, `data share ${share}`);
  }
});

Deno.test("three stages take as many steps as two", () => {
  const [two, three] = models(planStudy(studyNamed("stages"), { seeds: [7] }))
    .map((p) => p.config.settings);
  assertEquals(three.instructionSteps + three.expertSteps!, two.instructionSteps);
});

Deno.test("shareOf() deals every model to one machine, with the connectors it needs", () => {
  const plans = planStudy(studyNamed("ablations"), { seeds: [7, 8, 9] });
  const shares = [1, 2, 3, 4].map((number) => shareOf(plans, { number, of: 4 }));
  assertEquals(
    shares.flatMap(models).map((p) => p.id).sort(),
    models(plans).map((p) => p.id).sort(),
  );
  for (const share of shares) {
    for (const model of models(share)) assert(share.some((p) => p.id === model.needs));
  }
  assertEquals(shareOf(plans, { number: 1, of: 1 }), plans);
});

Deno.test("unknown studies, variants and scales are refused with the nearest name", () => {
  assertThrows(() => studyNamed("ablation"), RangeError, 'did you mean "ablations"?');
  assertThrows(() => variantNamed("moie"), RangeError, 'did you mean "moiie"?');
  const options = { seeds: [7], scale: "tinny" as "tiny" };
  assertThrows(() => planStudy(STUDIES[0], options), RangeError, 'did you mean "tiny"?');
});

Deno.test("canonicalJson() writes equal values alike, whatever their order", () => {
  assertEquals(
    canonicalJson({ b: [1, { d: 1, c: undefined }], a: null }),
    '{"a":null,"b":[1,{"d":1}]}',
  );
  assertEquals(canonicalJson({ a: 1, b: 2 }), canonicalJson({ b: 2, a: 1 }));
});
