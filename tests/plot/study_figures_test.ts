import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { pngSize } from "../../src/data/png.ts";
import {
  accuracyByFamily,
  activationProportions,
  balanceMetrics,
  dataScaleCurve,
  expertAnalysis,
  type Figure,
  figureToPng,
  figureToSvg,
  isFigure,
  type Json,
  loadOverTraining,
  lossCurves,
  pairedDifferences,
  parameterBars,
  pathFlow,
  pathways,
  type Trace,
} from "../../src/plot/mod.ts";
import { short, signed } from "../../src/plot/numbers.ts";
import { exampleRouting } from "./examples.ts";
import {
  COSTS,
  DIFFERENCES,
  exampleBalance,
  exampleFamilies,
  examplePaths,
  exampleSeed,
  exampleVariants,
  FLOORS,
  HISTORIES,
  KEPT,
  PAPER,
  SCALES,
} from "./study_examples.ts";
import { FIGURES } from "./study_figures.ts";

/** The traces with this name. */
function named(figure: Figure, name: string): Trace[] {
  return figure.data.filter((trace) => trace.name === name);
}

/** Texts of all annotations. */
function notes(figure: Figure): string[] {
  return ((figure.layout.annotations ?? []) as { text: string }[]).map(({ text }) => text);
}

/** A figure as text, one line a trace or attribute of the layout. */
function lines({ data, layout }: Figure): string {
  return [
    ...data.map((trace) => JSON.stringify(trace)),
    ...Object.entries(layout).map(([key, value]) => `${key}: ${JSON.stringify(value)}`),
  ].join("\n");
}

for (const [name, make] of Object.entries(FIGURES)) {
  Deno.test(`${name} keeps its specification`, async (t) => {
    await t.assertSnapshot(lines(make()));
  });

  Deno.test(`${name} is JSON, has a caption and names its axes`, () => {
    const figure = make();
    assert(isFigure(figure));
    assertEquals(JSON.parse(JSON.stringify(figure)), figure);
    assertMatch(figure.layout.title!.text, /\w<br><span[^>]*>\w/);
    for (const direction of ["xaxis", "yaxis"]) {
      const axes = Object.entries(figure.layout).filter(([key]) => key.startsWith(direction));
      const names = axes.map(([, axis]) => (axis as { title: { text: string } }).title.text);
      assert(names.some((text) => text.length > 0), `no ${direction} has a name`);
    }
  });

  Deno.test(`${name} keeps numbers short, so that notebooks stay small`, () => {
    const long = JSON.stringify(make().data).match(/\d\.\d{8,}/g) ?? [];
    assertEquals(long, []);
  });
}

for (
  const name of [
    "pairedDifferences() of five ablations",
    "pathways() of two layers",
    "pathFlow() of four layers",
  ]
) {
  Deno.test(`${name} can be drawn without a browser`, async () => {
    const figure = FIGURES[name]();
    const { width, height } = figure.layout;
    assertEquals(pngSize(await figureToPng(figure, 1)), { width: width!, height: height! });
    const svg = await figureToSvg(figure);
    for (const text of notes(figure).flatMap((note) => note.match(/\b[A-Z]\d\b/g) ?? [])) {
      assert(svg.includes(text), `${text} is missing in the picture`);
    }
  });
}

Deno.test("lossCurves() draws the mean of the seeds and a band from lowest to highest", () => {
  const run = (loss: number) => [0, 1, 2, 3].map((step) => ({ step, loss }));
  const figure = lossCurves([{ name: "A", runs: [run(1), run(2), run(6)] }], { zoom: 0 });
  const [band, line] = figure.data;
  assertEquals(line.y, [3, 3, 3, 3]);
  assertEquals(band.y, [6, 6, 6, 6, 1, 1, 1, 1]);
  assertEquals(band.x, [0, 1, 2, 3, 3, 2, 1, 0]);
});

Deno.test("lossCurves() takes another band when given one, and says so", () => {
  const figure = lossCurves(exampleVariants(20, 2), {
    band: { name: "mean ± 1", of: (values) => [values[0] - 1, values[0] + 1] },
    zoom: 0,
  });
  assertMatch(figure.layout.title!.text, /band: mean ± 1/);
  const [band] = figure.data;
  const first = band.y!.slice(0, 8) as number[];
  assertAlmostEquals(
    first[0] - (band.y!.slice(0, band.y!.indexOf(null)).at(-1) as number),
    2,
    1e-3,
  );
});

Deno.test("lossCurves() draws only the steps that all seeds have", () => {
  const run = (steps: number) => Array.from({ length: steps }, (_, step) => ({ step, loss: 1 }));
  const figure = lossCurves([{ name: "A", runs: [run(5), run(3)] }], { zoom: 0 });
  assertEquals(figure.data[1].x, [0, 1, 2]);
  assertThrows(
    () => lossCurves([{ name: "A", runs: [run(2), [{ step: 9, loss: 1 }]] }]),
    RangeError,
    "no step in common",
  );
  assertThrows(() => lossCurves([{ name: "A", runs: [] }]), RangeError, "no runs");
  assertThrows(() => lossCurves([]), RangeError, "at least one variant");
});

Deno.test("lossCurves() stores few points when runs are long", () => {
  const figure = lossCurves(exampleVariants(5000, 2), { zoom: 0 });
  const longest = Math.max(...figure.data.map(({ x }) => x!.length));
  assert(longest < 600, `${longest} points`);
});

Deno.test("accuracyByFamily() draws floors and chance across their own family", () => {
  const figure = accuracyByFamily(exampleFamilies(["val"]), { floors: FLOORS });
  const [floor] = named(figure, "blind floor");
  assertEquals(floor.y!.slice(0, 6), [21.3, 21.3, null, 6.3, 6.3, null]);
  assertEquals(floor.x!.slice(0, 6), [-0.44, 0.44, null, 0.56, 1.44, null]);
  assertEquals(named(figure, "chance")[0].y!.slice(0, 2), [8, 8]);
});

Deno.test("accuracyByFamily() keeps the paper's scores in a panel of their own", () => {
  const figure = accuracyByFamily(exampleFamilies(), { paper: PAPER, paperName: "paper" });
  const dots = named(figure, "MoIIE");
  assertEquals(dots.map(({ xaxis }) => xaxis), ["x", "x2", "x3"]);
  assertEquals(dots[2].error_y, undefined);
  assertEquals(notes(figure), [
    "<b>here, split val</b>",
    "<b>here, split style</b>",
    "<b>paper</b>",
  ]);
});

Deno.test("accuracyByFamily() throws when it gets percentages or nothing", () => {
  const row = { variant: "A", family: "ocr", mean: 67 };
  assertThrows(() => accuracyByFamily([row]), RangeError, "share from 0 to 1");
  assertThrows(() => accuracyByFamily([]), RangeError, "at least one row");
});

Deno.test("pairedDifferences() says that no difference is shown when the interval holds zero", () => {
  const figure = pairedDifferences(DIFFERENCES);
  const [shown] = named(figure, "difference shown");
  const [open] = named(figure, "no difference shown");
  assertEquals(shown.x, [1.4, -1.1]);
  assertEquals(open.x, [-0.3, 0.2, 0.3]);
  assertEquals((open.marker as { symbol: Json }).symbol, "circle-open");
  const texts = notes(figure).map((text) => text.replace(/^.*<br>|<\/?[bi]>/g, ""));
  assertEquals(texts, [
    "higher, n = 5",
    "no difference shown, n = 5",
    "no difference shown, n = 5",
    "lower, n = 5",
    "one seed: no interval, n = 1",
  ]);
});

Deno.test("pairedDifferences() writes as many decimals as small differences need", () => {
  const figure = pairedDifferences([{
    name: "a",
    mean: -0.00212,
    low: -0.004,
    high: -0.0002,
    n: 3,
  }]);
  assertEquals(notes(figure), ["−0.0021 [−0.0040, −0.0002]<br><b>lower</b>, n = 3"]);
  assertEquals(named(figure, "difference shown")[0].x, [-0.00212]);
});

Deno.test("pairedDifferences() counts an interval that ends at zero as no difference", () => {
  const figure = pairedDifferences([{ name: "a", mean: 1, low: 0, high: 2, n: 3 }]);
  assertEquals(named(figure, "difference shown"), []);
  assertThrows(() => pairedDifferences([]), RangeError, "at least one row");
});

Deno.test("activationProportions() averages seeds by use, not by the experts' numbers", () => {
  // The shared experts get 70 and 30 % of the shared choices, in an order that changes with the seed.
  const figure = activationProportions([0, 1].map((seed) => exampleSeed("ocr", seed)));
  const [most] = named(figure, "S, 1st by use (shared)");
  const [second] = named(figure, "S, 2nd by use (shared)");
  const shares = [most, second].map(({ y }) => y![0] as number);
  assertAlmostEquals(shares[0] / (shares[0] + shares[1]), 0.7, 0.005);
  assertEquals(figure.data.filter(({ name }) => name === "range over seeds").length, 2);
  assertMatch(figure.layout.title!.text, /mean of n = 2 seeds/);
});

Deno.test("dataScaleCurve() sorts the scales and bands what has intervals", () => {
  const [own, paper] = SCALES;
  const shuffled = {
    ...own,
    series: [{ ...own.series[0], points: own.series[0].points.toReversed() }],
  };
  const figure = dataScaleCurve([shuffled, paper]);
  assertEquals(named(figure, "Dense")[0].x, [5000, 10000, 20000]);
  assertEquals(named(figure, "Dense, band").length, 1);
  assertEquals(named(figure, "Dense")[1].y, [57.92, 59.95, 60.7]);
  assertThrows(() => dataScaleCurve([]), RangeError, "0 panels");
  assertThrows(() => dataScaleCurve({ title: "t", series: [] }), RangeError, '"t"');
});

Deno.test("pathways() writes the shares of each layer and marks what a modality may not use", () => {
  const figure = pathways(exampleRouting(2), { pools: { text: ["L1", "S1", "S2"] } });
  const [image, text] = figure.data.filter(({ type }) => type === "heatmap");
  for (const layer of [0, 1]) {
    const sum = (image.z as number[][]).reduce((total, row) => total + row[layer], 0);
    assertAlmostEquals(sum, 100, 0.05);
  }
  assertEquals((text.z as (number | null)[][])[0], [null, null]);
  const texts = figure.data.filter(({ mode, xaxis }) => mode === "text" && xaxis === "x2")
    .flatMap(({ text }) => text as string[]);
  assertEquals(texts.filter((value) => value === "×").length, 2);
});

Deno.test("pathways() adds up summaries of one model", () => {
  const one = pathways(exampleRouting(2));
  const two = pathways([exampleRouting(2, "a"), exampleRouting(2, "b")]);
  assertEquals(two.data, one.data);
  assertEquals(notes(two)[0], "<b>image tokens</b> (n = 1,000)");
});

Deno.test("pathFlow() draws the most common paths by rank and states the remainder", () => {
  const figure = pathFlow({
    modality: "text",
    layers: [1, 3],
    tokens: 200,
    paths: [
      { experts: ["S1", "S2"], tokens: 40 },
      { experts: ["L1", "S1"], tokens: 60 },
      { experts: ["L1", "S1"], tokens: 40 },
      { experts: ["L1", "S2"], tokens: 10 },
    ],
  }, { top: 2 });
  assertEquals(figure.data.map(({ name }) => name), [
    "1: L1 → S1 (50.0 %)",
    "2: S1 → S2 (20.0 %)",
    "all other paths (30.0 %)",
  ]);
  const heights = figure.data.map(({ y }) => (y!.at(-1) as number) - (y![0] as number));
  heights.forEach((height, index) => assertAlmostEquals(height, [0.5, 0.2, 0.3][index], 1e-3));
  assert(notes(figure).includes("others  30.0 %"));
});

Deno.test("pathFlow() keeps labels apart when ribbons are thin", () => {
  const figure = pathFlow(examplePaths(6), { top: 9 });
  const places = (figure.layout.annotations as { text: string; y: number; yref: string }[])
    .filter(({ text, yref }) => /%$/.test(text) && yref === "y")
    .map(({ y }) => y).sort((a, b) => a - b);
  assertEquals(places.length, figure.data.filter(({ xaxis }) => xaxis === "x").length);
  assert(places.length > 6);
  places.slice(1).forEach((place, index) => assert(place - places[index] > 0.06));
  const wrong = { modality: "text", layers: [1], paths: [{ experts: ["S1", "S2"], tokens: 1 }] };
  assertThrows(() => pathFlow(wrong), RangeError, "2 experts for 1 layers");
  assertThrows(() => pathFlow([]), RangeError, "got none");
});

Deno.test("activationProportions() grows with the lines of its subtitle, its panels stay", () => {
  const seeds = [0, 1, 2].map((seed) => exampleSeed("general", seed));
  const size = (width: number) => {
    const { height, margin } = activationProportions(seeds, { width }).layout;
    return { height: height!, top: (margin as { t: number }).t };
  };
  const wide = size(900), narrow = size(420);
  assert(narrow.top > wide.top, `${narrow.top} is not above ${wide.top}`);
  const panels = [narrow, wide].map(({ height, top }) => height - top);
  assert(Math.abs(panels[0] - panels[1]) <= 0.5, panels.join());
});

Deno.test("loadOverTraining() draws the fair share of each pool", () => {
  const [first] = HISTORIES;
  const pair = {
    ...first,
    layer: 5,
    experts: first.experts.slice(1),
    shares: first.shares.slice(1),
  };
  const figure = loadOverTraining([first, pair]);
  assertEquals(named(figure, "fair share").map(({ y }) => y![0]), [0.3333, 0.5]);
  assertThrows(
    () => loadOverTraining([{ ...first, shares: first.shares.slice(1) }]),
    RangeError,
    "3 experts × 13 steps, got 2 lists",
  );
  assertThrows(() => loadOverTraining([]), RangeError, "got none");
});

Deno.test("loadOverTraining() gives an expert the same style in every panel", () => {
  const own = named(loadOverTraining(HISTORIES), "S2 (shared)");
  assertEquals(own.length, 4);
  assertEquals(new Set(own.map(({ line }) => JSON.stringify(line))).size, 1);
  assertEquals(own.filter(({ showlegend }) => showlegend).length, 1);
});

Deno.test("parameterBars() sums to the paper's totals", () => {
  const texts = notes(parameterBars(COSTS)).filter((text) => / B<\/b>/.test(text));
  assertEquals(texts, [
    "total <b>7.89 B</b>",
    "activated <b>5.47 B</b>",
    "total <b>16.9 B</b>",
    "activated <b>11.3 B</b>",
  ]);
});

Deno.test("parameterBars() throws when more parameters are used than there are", () => {
  const parts = [{ part: "experts", total: 4, active: 5 }];
  assertThrows(
    () => parameterBars({ title: "t", variants: [{ name: "A", parts }] }),
    RangeError,
    "A, experts: 5 activated parameters of 4",
  );
  assertThrows(() => parameterBars([]), RangeError, "at least one variant");
});

Deno.test("expertAnalysis() draws the full model as a line with its interval", () => {
  const figure = expertAnalysis(KEPT);
  const levels = named(figure, "all experts");
  assertEquals(levels.map(({ xaxis }) => xaxis), ["x", "x2", "x3"]);
  const [band] = figure.layout.shapes as { x0: number; x1: number }[];
  const [level] = levels[0].x as number[];
  assert(band.x0 < level && level < band.x1);
  assertThrows(() => expertAnalysis([{ benchmark: "ocr", rows: [] }]), RangeError, '"ocr"');
});

Deno.test("balanceMetrics() divides the entropy by its maximum and marks trivial layers", () => {
  const record = {
    layer: 1,
    modality: "text",
    experts: 4,
    maxVio: 3,
    cv: 1.7,
    entropy: 0,
    dead: 0.75,
  };
  const even = { ...record, layer: 3, experts: 2, entropy: Math.log(2), trivial: true };
  const entropy = balanceMetrics([record, even]).data
    .find(({ xaxis, name }) => xaxis === "x3" && name === "text tokens")!;
  assertEquals(entropy.x, [0, 1]);
  assertEquals((entropy.marker as { symbol: Json }).symbol, ["circle", "circle-open"]);
  assertThrows(() => balanceMetrics([]), RangeError, "got none");
});

Deno.test("balanceMetrics() draws mean and range of several seeds", () => {
  const [first] = exampleBalance();
  const records = [1, 2, 6].map((cv, seed) => ({ ...first, cv, seed }));
  const cv = balanceMetrics(records).data
    .find(({ xaxis, name }) => xaxis === "x2" && name === "image tokens")!;
  const { array, arrayminus } = cv.error_x as { array: Json; arrayminus: Json };
  assertEquals([cv.x, array, arrayminus], [[3], [3], [2]]);
});

Deno.test("series of the study's figures differ without colour", () => {
  for (const figure of [lossCurves(exampleVariants(20, 1)), dataScaleCurve(SCALES)]) {
    const own = figure.data.filter(({ mode, xaxis }) =>
      mode === "lines+markers" && (xaxis ?? "x") === "x"
    );
    assertEquals(own.length, 4);
    assertEquals(new Set(own.map(({ line }) => (line as { dash: string }).dash)).size, 4);
  }
  const bars = parameterBars(COSTS).data.filter(({ xaxis }) => xaxis === "x");
  const hatches = bars.map(({ marker }) => JSON.stringify((marker as Trace).pattern));
  assertEquals(new Set(hatches).size, 6);
});

Deno.test("short() and signed() write numbers as they are read", () => {
  assertEquals([999, 1000, 815_600, 999_600, 5_470_394_432].map(short), [
    "999",
    "1 k",
    "816 k",
    "1 M",
    "5.47 B",
  ]);
  assertEquals([0.5, -0.25, -0.001, 0].map((value) => signed(value)), [
    "+0.5",
    "−0.3",
    "0.0",
    "0.0",
  ]);
});
