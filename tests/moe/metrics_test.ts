import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  addRecords,
  cellOf,
  coActivation,
  crossLayerCounts,
  deadFraction,
  domainInformation,
  domainSpecialisation,
  effectiveExperts,
  entropyOf,
  expertInformation,
  gini,
  interModalityRatios,
  jensenShannon,
  loadCv,
  loadEntropy,
  loadMetrics,
  maxVio,
  meanLargest,
  modalityShares,
  moiie,
  mutualInformation,
  pathCounts,
  patternShares,
  routerSaturation,
  type RoutingCell,
  routingMutualInformation,
  type RoutingRecord,
  sharedAgreement,
  sharedExperts,
  type TokenChoices,
  tokenRoutingEntropy,
  tokensWhere,
  topMargin,
  utilisation,
  vocabularySpecialisation,
} from "../../src/moe/mod.ts";

const close = (actual: number, expected: number) => assertAlmostEquals(actual, expected, 1e-12);

/** A cell of a MoIIE with experts V1 L1 S1 S2 from its pairs of experts. */
function cell(
  modality: string,
  pairs: Record<string, number>,
  rest: Partial<RoutingCell> = {},
): RoutingCell {
  const { experts } = moiie();
  const matrix = new Array(16).fill(0), choices = [0, 0, 0, 0];
  let tokens = 0;
  for (const [pair, n] of Object.entries(pairs)) {
    const [a, b] = pair.split("+").map((name) => experts.findIndex((e) => e.name === name));
    for (const [i, j] of [[a, b], [b, a], [a, a], [b, b]]) matrix[4 * i + j] += n;
    choices[a] += n;
    choices[b] += n;
    tokens += n;
  }
  return {
    modality,
    tokenClass: modality === "image" ? "patch" : "question",
    tokens,
    choices,
    first: [tokens, 0, 0, 0],
    probability: choices.map((c) => c / 2),
    entropy: 0,
    margin: 0,
    largest: 0,
    dropped: 0,
    pairs: matrix,
    ...rest,
  };
}

const { experts, pools, topK } = moiie();

function record(cells: RoutingCell[], more: Partial<RoutingRecord> = {}): RoutingRecord {
  return { experts, pools, topK, layers: [{ layer: 1, cells }], ...more };
}

/** 4 image tokens with V1+S1, 1 with V1+S2, 3 with S1+S2; 2 text tokens with L1+S2. */
const EXAMPLE = record([
  cell("image", { "V1+S1": 4, "V1+S2": 1, "S1+S2": 3 }),
  cell("text", { "L1+S2": 2 }),
]);

Deno.test("the experts of the example stand in the order V1 L1 S1 S2", () => {
  assertEquals(new Set(experts.map((e) => e.name)), new Set(["V1", "L1", "S1", "S2"]));
  assertEquals(sharedExperts(EXAMPLE).map((e) => experts[e].name), ["S1", "S2"]);
});

Deno.test("measures of the load equal sums by hand", () => {
  // Mean 5: ratios 2, 1, 1, 0; shares 1/2, 1/4, 1/4, 0.
  const counts = [10, 5, 5, 0];
  assertEquals(utilisation(counts), [2, 1, 1, 0]);
  close(maxVio(counts), 1);
  close(loadCv(counts), Math.sqrt((1 + 0 + 0 + 1) / 4));
  close(loadEntropy(counts), 1.5 * Math.LN2);
  close(effectiveExperts(counts), 2 ** 1.5);
  // Differences of the shares: 1/4 twice, 1/2 once, 0 once, 1/4 twice; each in both orders.
  close(gini(counts), 2 * (4 * 0.25 + 0.5) / 8);
  close(deadFraction(counts), 0.25);
});

Deno.test("measures of the load are at their ends when it is even, and when one expert has all", () => {
  for (const measure of [maxVio, loadCv, gini, deadFraction]) close(measure([7, 7, 7]), 0);
  close(loadEntropy([7, 7, 7]), Math.log(3));
  close(effectiveExperts([7, 7, 7]), 3);
  close(maxVio([9, 0, 0]), 2);
  close(loadCv([9, 0, 0]), Math.SQRT2);
  close(gini([9, 0, 0]), 2 / 3);
  close(effectiveExperts([9, 0, 0]), 1);
  close(deadFraction([9, 0, 0]), 2 / 3);
});

Deno.test("a single expert is in perfect balance", () => {
  for (const measure of [maxVio, loadCv, gini, deadFraction, loadEntropy]) close(measure([4]), 0);
  close(tokenRoutingEntropy({ entropy: 0, tokens: 3 }, 1), 0);
});

Deno.test("measures without tokens are no numbers", () => {
  for (const measure of [maxVio, loadCv, gini, deadFraction, loadEntropy, effectiveExperts]) {
    assert(Number.isNaN(measure([0, 0])), measure.name);
  }
  const none = cellOf(record([]), { modality: "image" });
  assertEquals(none.tokens, 0);
  for (const measure of [topMargin, meanLargest, routingMutualInformation]) {
    assert(Number.isNaN(measure(none)), measure.name);
  }
  assert(Number.isNaN(tokenRoutingEntropy(none, 3)));
  assert(Number.isNaN(mutualInformation([[0, 0], [0, 0]]).nats));
  assert(Number.isNaN(jensenShannon([0, 0], [1, 1])));
  assertEquals(loadMetrics(record([])), []);
});

Deno.test("measures of the probabilities equal sums by hand", () => {
  // Two tokens, (1, 0) and (1/2, 1/2): mean (3/4, 1/4), entropies 0 and ln 2.
  const sums = {
    tokens: 2,
    probability: [1.5, 0.5],
    entropy: Math.LN2,
    margin: 1 + 0,
    largest: 1.5,
  };
  close(tokenRoutingEntropy(sums, 2), 0.5);
  close(routingMutualInformation(sums), entropyOf([0.75, 0.25]) - Math.LN2 / 2);
  close(topMargin(sums), 0.5);
  close(meanLargest(sums), 0.75);
  // Decisive and balanced: all of ln 2. Equal for all tokens: nothing.
  close(routingMutualInformation({ tokens: 2, probability: [1, 1], entropy: 0 }), Math.LN2);
  const same = { tokens: 3, probability: [2.1, 0.9], entropy: 3 * entropyOf([0.7, 0.3]) };
  close(routingMutualInformation(same), 0);
});

Deno.test("loadMetrics() measures each modality within its pool, and all experts together", () => {
  const [text, image, all] = loadMetrics(EXAMPLE);
  assertEquals([text.modality, image.modality, all.modality], ["text", "image", "all"]);
  assertEquals([text.tokens, image.tokens, all.tokens], [2, 8, 10]);
  const ofImage = Object.fromEntries(image.experts.map((e, i) => [e, image.utilisation[i]]));
  // 16 choices of three experts: V1 5, S1 7, S2 4.
  assertEquals(ofImage, { V1: 5 * 3 / 16, S1: 7 * 3 / 16, S2: 4 * 3 / 16 });
  close(image.maxVio, 7 * 3 / 16 - 1);
  assertEquals(new Set(text.experts), new Set(["L1", "S1", "S2"]));
  close(text.dead, 1 / 3);
  assertEquals(all.experts.length, 4);
  assertEquals([text.trivial, image.trivial], [false, false]);
  const hard = { ...EXAMPLE, topK: 3 };
  assertEquals(loadMetrics(hard).map((m) => m.trivial), [true, true, false]);
});

Deno.test("modalityShares() is the part of each expert's tokens that is of each modality", () => {
  assertEquals(modalityShares([[3, 0, 0], [1, 2, 0]]), [[0.75, 0.25], [0, 1], [NaN, NaN]]);
});

Deno.test("interModalityRatios() stands beside its chance level and its bounds", () => {
  const [text, image] = interModalityRatios(EXAMPLE);
  close(image.ratio, 11 / 16);
  close(text.ratio, 1 / 2);
  for (const { chance, least, most } of [text, image]) {
    close(chance, 2 / 3);
    assertEquals([least, most], [0.5, 1]);
  }
});

Deno.test("patternShares() counts the sets of experts of one modality", () => {
  const shares = patternShares(EXAMPLE, 1, "image");
  const byName = Object.fromEntries(shares.map((p) => [p.pattern, p.share]));
  assertEquals(Object.keys(byName).length, 3);
  const own = (a: string, b: string) => byName[`${a}+${b}`] ?? byName[`${b}+${a}`];
  assertEquals([own("V1", "S1"), own("V1", "S2"), own("S1", "S2")], [4 / 8, 1 / 8, 3 / 8]);
  assert(patternShares(record([]), 1, "image").every((p) => Number.isNaN(p.share)));
  assertThrows(() => patternShares({ ...EXAMPLE, topK: 3 }, 1, "image"), RangeError, "pathCounts");
});

Deno.test("mutualInformation() is 0 of independent labels and 1 where one decides the other", () => {
  close(mutualInformation([[2, 4], [1, 2]]).nats, 0);
  close(mutualInformation([[5, 0], [0, 5]]).nats, Math.LN2);
  close(mutualInformation([[5, 0], [0, 5]]).normalised, 1);
  close(mutualInformation([[1, 0], [1, 0], [0, 2]]).normalised, 1);
  assertEquals(mutualInformation([[3, 4]]), { nats: 0, normalised: 0 });
  // p = (1/2, 1/4; 0, 1/4): marginals (3/4, 1/4) and (1/2, 1/2).
  const { nats, normalised } = mutualInformation([[2, 1], [0, 1]]);
  const want = 0.5 * Math.log(0.5 / 0.375) + 0.25 * Math.log(0.25 / 0.375) +
    0.25 * Math.log(0.25 / 0.125);
  close(nats, want);
  close(normalised, want / entropyOf([0.75, 0.25]));
});

Deno.test("expertInformation() is I(expert; modality), of all experts and of the shared ones", () => {
  // S1: 7 image; S2: 4 image, 2 text.
  const { nats } = expertInformation(EXAMPLE, 1, "modality", sharedExperts(EXAMPLE));
  close(nats, mutualInformation([[7, 0], [4, 2]]).nats);
  const all = expertInformation(EXAMPLE, 1, "modality");
  close(all.nats, mutualInformation([[5, 0], [0, 2], [7, 0], [4, 2]]).nats);
});

Deno.test("jensenShannon() is 0 of equal and 1 of disjoint distributions, sharedAgreement() uses it", () => {
  close(jensenShannon([1, 3], [2, 6]), 0);
  close(jensenShannon([1, 0], [0, 9]), 1);
  // (1, 0) and (1/2, 1/2): middle (3/4, 1/4).
  const bits = (entropyOf([0.75, 0.25]) - Math.LN2 / 2) / Math.LN2;
  close(jensenShannon([4, 0], [3, 3]), bits);
  close(sharedAgreement(EXAMPLE, 1), jensenShannon([7, 4], [0, 2]));
});

Deno.test("domainSpecialisation() compares shares of tokens with k / n", () => {
  const ocr = { ...EXAMPLE, benchmark: "ocr" };
  const [use] = domainSpecialisation([ocr], 1, "image");
  const at = (name: string) => experts.findIndex((e) => e.name === name);
  assertEquals(use.domain, "ocr");
  close(use.share[at("S1")], 7 / 8);
  close(use.chance[at("S1")], 2 / 3);
  close(use.chance[at("L1")], 0);
  close(domainInformation([ocr, ocr], 1).nats, 0);
  const text = record([EXAMPLE.layers[0].cells[1]]);
  assert(domainInformation([ocr, text], 1).nats > 0.01);
});

Deno.test("coActivation() is the share of an expert's tokens that chose another one, too", () => {
  const both = coActivation(cellOf(EXAMPLE, { modality: "image" }));
  const at = (name: string) => experts.findIndex((e) => e.name === name);
  close(both[at("V1")][at("S1")], 4 / 5);
  close(both[at("S1")][at("V1")], 4 / 7);
  close(both[at("S2")][at("S2")], 1);
  assert(both[at("L1")].every(Number.isNaN));
});

Deno.test("addRecords() adds what belongs together, cellOf() sums what fits", () => {
  const sum = addRecords([EXAMPLE, EXAMPLE, record([cell("text", { "L1+S1": 1 })])], "all");
  assertEquals(sum.benchmark, "all");
  assertEquals(cellOf(sum, { modality: "image" }).tokens, 16);
  assertEquals(cellOf(sum, { tokenClass: "question" }).tokens, 5);
  assertEquals(cellOf(sum, { layer: 2 }).tokens, 0);
  assertEquals(cellOf(sum).modality, "all");
  assertEquals(cellOf(sum).choices.reduce((a, b) => a + b, 0), 2 * 21);
  assertThrows(() => addRecords([]), RangeError);
  const other = { ...EXAMPLE, experts: [{ name: "S1", group: "shared" }] };
  assertThrows(() => addRecords([EXAMPLE, other]), RangeError, "different experts");
});

/** Tokens of two layers; rows: id, modality, likeliest two experts in each layer. */
function choices(rows: [number, "text" | "image", number[], number[]][]): TokenChoices {
  const n = rows.length;
  return {
    experts,
    pools,
    topK,
    layers: [1, 3],
    tokens: n,
    ids: Int32Array.from(rows, (r) => r[0]),
    modality: Int32Array.from(rows, (r) => pools.findIndex((p) => p.modality === r[1])),
    classes: new Int32Array(n),
    classNames: ["word"],
    benchmarks: new Int32Array(n),
    benchmarkNames: ["ocr"],
    chosen: Int32Array.from([...rows.flatMap((r) => r[2]), ...rows.flatMap((r) => r[3])]),
    slots: 2,
  };
}

Deno.test("pathCounts() counts ways through the layers by first choice, and by all choices", () => {
  const name = (e: number) => experts[e].name;
  const c = choices([
    [9, "text", [2, 3], [3, 2]],
    [9, "text", [2, 3], [2, 3]],
    [8, "text", [3, 2], [3, 2]],
    [7, "text", [2, 3], [3, 2]],
    [3, "image", [0, 2], [0, -1]],
  ]);
  const text = tokensWhere(c, { modality: "text" });
  assertEquals(text, [0, 1, 2, 3]);
  const paths = pathCounts(c, text);
  assertEquals(paths[0], { experts: [name(2), name(3)], tokens: 2 });
  assertEquals(paths.map((p) => p.tokens), [2, 1, 1]);
  const pattern = `${name(2)}+${name(3)}`;
  assertEquals(pathCounts(c, text, "pattern"), [{ experts: [pattern, pattern], tokens: 4 }]);
  assertEquals(pathCounts(c, [4], "pattern")[0].experts, [`${name(0)}+${name(2)}`, name(0)]);
  assertEquals(pathCounts(c, []), []);
  const across = crossLayerCounts(c, text, 0, 1);
  assertEquals([across[2][3], across[2][2], across[3][3]], [2, 1, 1]);
  assertThrows(() => crossLayerCounts(c, text, 0, 2), RangeError);
});

Deno.test("routerSaturation() is the mean share of choices that stayed", () => {
  const early = choices([[9, "text", [2, 3], [2, 3]], [8, "text", [2, 3], [2, 3]]]);
  const late = choices([[9, "text", [3, 2], [2, 1]], [8, "text", [2, 3], [1, 3]]]);
  assertEquals(routerSaturation(early, late), [1, 0.5]);
  assertEquals(routerSaturation(early, early, [0]), [1, 1]);
  assert(routerSaturation(early, late, []).every(Number.isNaN));
  assertThrows(() => routerSaturation(early, choices([])), RangeError, "same tokens");
});

Deno.test("vocabularySpecialisation() is the mean share of each word's favourite expert", () => {
  const c = choices([
    [9, "text", [2, 3], [2, 3]],
    [9, "text", [2, 3], [2, 3]],
    [9, "text", [3, 2], [2, 3]],
    [8, "text", [1, 2], [2, 3]],
    [8, "text", [1, 2], [3, 2]],
    [7, "text", [1, 2], [2, 3]],
  ]);
  const { mean, chance, words } = vocabularySpecialisation(c, 0, tokensWhere(c), 2);
  close(mean, (2 / 3 + 1) / 2);
  close(chance, 1 / 3);
  assertEquals(words, 2);
  assert(Number.isNaN(vocabularySpecialisation(c, 0, [], 1).mean));
});
