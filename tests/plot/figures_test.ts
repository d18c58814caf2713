import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  accuracyBars,
  activationProportions,
  compareLoss,
  describeFigure,
  type Figure,
  isFigure,
  loadBalance,
  lossCurve,
  type Trace,
} from "../../src/plot/mod.ts";
import { exampleAccuracy, exampleRouting, exampleRun } from "./examples.ts";

/** The traces with a name, keyed by it; the last one wins. */
function byName(figure: Figure): Map<string, Trace> {
  return new Map(figure.data.map((trace) => [trace.name ?? "", trace]));
}

const FIGURES: Record<string, () => Figure> = {
  "lossCurve() of two stages": () => lossCurve(exampleRun(20)),
  "lossCurve() without rates": () => lossCurve(exampleRun(20, false), { scale: "log" }),
  "compareLoss() of two runs": () =>
    compareLoss(["Dense", "MoIIE"].map((name) => ({ name, records: exampleRun(10) }))),
  "accuracyBars() of one split": () => accuracyBars(exampleAccuracy()),
  "accuracyBars() of two splits": () => accuracyBars(exampleAccuracy(["val", "style"])),
  "activationProportions() of one benchmark": () => activationProportions(exampleRouting(2)),
  "activationProportions() of two benchmarks": () =>
    activationProportions([exampleRouting(3, "general"), exampleRouting(3, "ocr")]),
  "loadBalance() of two layers": () => loadBalance(exampleRouting(2)),
};

for (const [name, make] of Object.entries(FIGURES)) {
  Deno.test(`${name} keeps its specification`, async (t) => {
    await t.assertSnapshot(make());
  });

  Deno.test(`${name} is JSON with named axes and a title`, () => {
    const figure = make();
    assert(isFigure(figure));
    assertEquals(JSON.parse(JSON.stringify(figure)), figure);
    for (const direction of ["xaxis", "yaxis"]) {
      const axes = Object.entries(figure.layout).filter(([key]) => key.startsWith(direction));
      const names = axes.map(([, axis]) => (axis as { title: { text: string } }).title.text);
      assert(names.some((name) => name.length > 0), `no ${direction} has a name`);
    }
    assertMatch(figure.layout.title!.text, /\w/);
  });
}

Deno.test("lossCurve() averages noise away when it smooths", () => {
  const records = Array.from({ length: 100 }, (_, step) => ({ step, loss: 2 + (-1) ** step }));
  const smooth = byName(lossCurve(records, { window: 10 })).get("moving average")!;
  const inside = (smooth.y as number[]).slice(10, 90);
  assert(inside.every((loss) => Math.abs(loss - 2) < 0.1), String(inside));
});

Deno.test("lossCurve() does not smooth over the border of two stages", () => {
  const records = Array.from(
    { length: 20 },
    (_, step) => ({ step, loss: step < 10 ? 4 : 1, stage: step < 10 ? "a" : "b" }),
  );
  const smooth = byName(lossCurve(records, { window: 9 })).get("moving average")!;
  assertEquals(smooth.y, [...Array(10).fill(4), ...Array(10).fill(1)]);
});

Deno.test("lossCurve() leaves gaps where the loss is not finite", () => {
  const figure = lossCurve([{ step: 0, loss: 1 }, { step: 1, loss: NaN }, { step: 2, loss: 3 }]);
  assertEquals(byName(figure).get("loss of the step")!.y, [1, null, 3]);
  assertEquals(byName(figure).get("moving average")!.y, [2, 2, 2]);
});

Deno.test("lossCurve() keeps spikes when it thins long runs", () => {
  const records = Array.from({ length: 50_000 }, (_, step) => ({ step, loss: 1 }));
  records[31_234].loss = 99;
  const raw = byName(lossCurve(records)).get("loss of the step")!;
  assert(raw.x!.length <= 1300, `${raw.x!.length} points`);
  assert(raw.y!.includes(99));
});

Deno.test("lossCurve() throws when there are no records", () => {
  assertThrows(() => lossCurve([]), RangeError, "at least one record");
  assertThrows(() => compareLoss([{ name: "MoIIE", records: [] }]), RangeError, "MoIIE");
});

Deno.test("accuracyBars() draws each floor across its own bar", () => {
  const figure = accuracyBars(exampleAccuracy(["val", "style"]));
  const floors = byName(figure).get("blind floor")!;
  assertEquals(floors.y!.slice(0, 3), [21.3, 21.3, null]);
  const [bar] = figure.data;
  assertEquals(((floors.x![0] as number) + (floors.x![1] as number)) / 2, bar.x![0]);
});

Deno.test("accuracyBars() throws when it gets percentages", () => {
  assertThrows(
    () => accuracyBars([{ family: "ocr", accuracy: 67, floor: 6, n: 10 }]),
    RangeError,
    "shares from 0 to 1",
  );
});

Deno.test("activationProportions() fills every bar to one, shared experts first", () => {
  const figure = activationProportions(exampleRouting(4));
  const bars = figure.data.filter((trace) => trace.type === "bar");
  assertEquals(bars.slice(0, 4).map(({ name }) => name), [
    "S1 (shared)",
    "S2 (shared)",
    "V1 (vision)",
    "L1 (language)",
  ]);
  for (let layer = 0; layer < 4; layer++) {
    for (const panel of [bars.slice(0, 4), bars.slice(4)]) {
      const sum = panel.reduce((total, { y }) => total + (y![layer] as number), 0);
      assert(Math.abs(sum - 1) < 1e-3, `layer ${layer} sums to ${sum}`);
    }
  }
});

Deno.test("activationProportions() draws no chance level when nothing is shared", () => {
  const figure = activationProportions({
    experts: [{ name: "E1", group: "expert" }, { name: "E2", group: "expert" }],
    layers: [{
      layer: 1,
      modalities: [{ name: "text", tokens: 0, counts: [0, 0], chanceShared: 0 }],
    }],
  });
  assertEquals(figure.data.map(({ type }) => type), ["bar", "bar"]);
  assertEquals(figure.data.map(({ y }) => y), [[0], [0]]);
});

Deno.test("activationProportions() throws when models are mixed or counts are missing", () => {
  const routing = exampleRouting(1);
  const other = { ...routing, experts: routing.experts.slice(1) };
  assertThrows(() => activationProportions([routing, other]), RangeError, "different experts");
  assertThrows(() => activationProportions(other), RangeError, "4 counts for 3 experts");
  assertThrows(() => activationProportions([]), RangeError, "at least one");
});

Deno.test("loadBalance() gives 1 to all experts when the load is even", () => {
  const figure = loadBalance({
    experts: [{ name: "E1", group: "expert" }, { name: "E2", group: "expert" }],
    layers: [{
      layer: 5,
      modalities: [
        { name: "image", tokens: 3, counts: [6, 0], chanceShared: 0 },
        { name: "text", tokens: 3, counts: [0, 6], chanceShared: 0 },
      ],
    }],
  });
  assertEquals(figure.data.map(({ y }) => y), [[1], [1]]);
  assertEquals((figure.layout.xaxis as { ticktext: string[] }).ticktext, ["5<br>CV 0.00"]);
});

Deno.test("series differ without colour when figures are printed in grey", () => {
  const lines = compareLoss(
    ["a", "b", "c", "d", "e"].map((name) => ({ name, records: exampleRun(4) })),
  );
  const marks = lines.data.map(({ line, marker }) =>
    `${(line as { dash: string }).dash} ${(marker as { symbol: string }).symbol}`
  );
  assertEquals(new Set(marks).size, 5);
  const bars = activationProportions(exampleRouting(1)).data.slice(0, 4);
  const hatches = bars.map(({ marker }) => JSON.stringify((marker as Trace).pattern));
  assertEquals(new Set(hatches).size, 4);
});

Deno.test("describeFigure() tells title and series when there is no screen", () => {
  const text = describeFigure(lossCurve(exampleRun(20)));
  assertStringIncludes(text, "Training loss");
  assertStringIncludes(text, "learning rate: 20 points");
  assertEquals(text.includes("<"), false);
});
