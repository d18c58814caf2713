import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import {
  countingPicture,
  DIGIT_WORDS,
  NO_LABEL,
  type Scene,
  sceneFloors,
  type SceneKind,
  SoundAndSight,
} from "../../../src/data/mod.ts";
import { Random } from "../../../src/tensor/random.ts";

const DATA = new SoundAndSight({ seed: 7, train: 240, test: 120 });
const SLOTS = [...new Array<number>(16).fill(1), ...new Array<number>(12).fill(2)];
const OPTIONS = { length: 72, slots: SLOTS };

const scenes = (split: "train" | "test"): Scene[] =>
  Array.from({ length: DATA.sizes[split] }, (_, i) => DATA.scene(split, i));

const ofKind = (kind: SceneKind): Scene => scenes("train").find((s) => s.kind === kind)!;

Deno.test("SoundAndSight gives the same scenes for the same seed, others for another", () => {
  const again = new SoundAndSight({ seed: 7, train: 10, test: 5 });
  const other = new SoundAndSight({ seed: 8, train: 10, test: 5 });
  for (const [split, i] of [["train", 3], ["train", 0], ["test", 4]] as const) {
    assertEquals(again.scene(split, i), DATA.scene(split, i));
    assert(other.scene(split, i).wave.some((x, t) => x !== DATA.scene(split, i).wave[t]));
  }
  assertEquals(DATA.tokenizer.size, 5 + new Set(DATA.tokenizer.tokens.slice(5)).size);
});

Deno.test("SoundAndSight holds test voices and scenes apart from those of training", () => {
  const waves = new Set(scenes("train").map((s) => s.wave.slice(0, 40).join()));
  assertEquals(waves.size, 240);
  for (const { wave, voice } of scenes("test")) {
    assert(!waves.has(wave.slice(0, 40).join()));
    assertLess(voice, 12);
  }
});

Deno.test("a scene asks what can be answered from what it shows, and answers it", () => {
  const kinds = (kind: SceneKind) => [...new Set(ofKind(kind).questions.map((q) => q.kind))];
  assertEquals(kinds("both"), ["digit", "count", "color", "more", "sum", "larger"]);
  assertEquals(kinds("picture"), ["count", "color", "larger"]);
  assertEquals(kinds("sound"), ["digit", "larger"]);
  assertEquals(kinds("text"), ["larger"]);
  for (const scene of scenes("train").filter((s) => s.kind === "both")) {
    const { digit, count, color, questions } = scene;
    const answers = Object.fromEntries(questions.map((q) => [q.kind, q.answer]));
    assertEquals(answers.digit, DIGIT_WORDS[digit]);
    assertEquals(answers.count, DIGIT_WORDS[count]);
    assertEquals([answers.color, answers.more], [color, digit > count ? "yes" : "no"]);
    const difference = Math.abs(digit - count);
    assert(difference >= 1 && difference <= 4 && count >= 0 && count <= 9);
    const [, a, b] = questions.at(-1)!.question.match(/(\w+) or (\w+) \?$/)!;
    const numbers = [DIGIT_WORDS.indexOf(a), DIGIT_WORDS.indexOf(b)];
    assertEquals(answers.larger, DIGIT_WORDS[Math.max(...numbers)]);
  }
  const sum = scenes("test").find((s) => s.kind === "both" && s.digit + s.count === 12)!;
  assertEquals(sum.questions.find((q) => q.kind === "sum")!.answer, "twelve");
});

Deno.test("batch() fills the slots that a scene has and leaves the others empty", () => {
  const rows = (["both", "picture", "sound", "text"] as const).map(ofKind);
  const batch = DATA.batch(rows, OPTIONS);
  const part = (name: "modality" | "valid", row: number, from: number, to: number) => [
    ...new Set(batch[name].subarray(72 * row + from, 72 * row + to)),
  ];
  const slots = [0, 1, 2, 3].map((r) => [part("modality", r, 0, 16), part("modality", r, 16, 28)]);
  assertEquals(slots, [[[1], [2]], [[1], [0]], [[0], [2]], [[0], [0]]]);
  assertEquals([1, 3].map((r) => part("valid", r, 16, 28)), [[0], [0]]);
  const sum = (values: Float32Array, row: number) => {
    const size = values.length / 4;
    return values.subarray(size * row, size * (row + 1)).reduce((s, x) => s + Math.abs(x), 0);
  };
  assertEquals([0, 1, 2, 3].map((r) => sum(batch.pixels, r) > 0), [true, true, false, false]);
  assertEquals([0, 1, 2, 3].map((r) => sum(batch.sound, r) > 0), [true, false, true, false]);
  assertEquals([batch.pixels.length, batch.sound.length], [4 * 3 * 32 * 32, 4 * 48 * 20]);
  assertEquals([...batch.sound.subarray(0, 960)], [...rows[0].sound.values]);
  // Channel by channel: the second row of the green channel begins with pixel 32.
  const green = rows[0].picture[3 * 32 + 1] / 127.5 - 1;
  assert(Math.abs(batch.pixels[1024 + 32] - green) < 1e-6);
});

Deno.test("batch() says where each question is answered", () => {
  const batch = DATA.batch([ofKind("both"), ofKind("text")], OPTIONS);
  assertEquals(batch.asked.length, 6 + 3);
  for (const { row, at, question } of batch.asked) {
    const place = 72 * row + at;
    assertEquals(DATA.tokenizer.tokens[batch.labels[place]], question.answer);
    const length = DATA.tokenizer.encode(question.question).length;
    const asked = batch.tokens.subarray(place - length + 1, place + 1);
    assertEquals(DATA.tokenizer.decode(asked), question.question);
  }
  const labels = [...batch.labels].filter((l) => l !== NO_LABEL);
  assertEquals(labels.length, 2 * 9); // the answer and its end
  const one = DATA.batch([ofKind("both")], { ...OPTIONS, kinds: ["more"], without: ["audio"] });
  assertEquals(one.asked.map((a) => a.question.kind), ["more"]);
  assertEquals([one.modality[0], one.valid[16], one.sound.some((x) => x !== 0)], [1, 0, false]);
});

Deno.test("sceneFloors() show that questions need the senses that they are said to need", () => {
  const data = new SoundAndSight({ seed: 3, train: 800, test: 200 });
  const floors = Object.fromEntries(sceneFloors(data).map((f) => [f.kind, f]));
  assertEquals([floors.digit.sound, floors.count.picture, floors.color.picture], [1, 1, 1]);
  for (const [kind, most] of [["digit", 0.25], ["count", 0.25], ["color", 0.35]] as const) {
    assertLess(floors[kind].neither, most);
  }
  assertLess(floors.digit.picture, 0.4);
  assertLess(floors.count.sound, 0.4);
  assertLess(floors.color.sound, 0.35);
  // Both senses: one alone is not enough.
  for (const one of [floors.more.picture, floors.more.sound]) assertLess(one, 0.75);
  for (const one of [floors.sum.picture, floors.sum.sound]) assertLess(one, 0.4);
  for (const known of ["neither", "picture", "sound"] as const) {
    assertGreater(floors.larger[known], 0.95); // in its words alone
  }
  assertEquals(floors.sum.answers, 17); // 1 to 17
});

Deno.test("countingPicture() draws so many squares, each of 25 pixels", () => {
  for (let count = 0; count <= 16; count++) {
    const picture = countingPicture(count, "blue", new Random(count));
    let white = 0;
    for (let i = 0; i < picture.length; i += 3) if (picture[i] === 245) white++;
    assertEquals(white, 25 * count);
  }
  assertThrows(() => countingPicture(17, "red", new Random(1)), RangeError, "17 squares");
  assertThrows(() => countingPicture(1, "pink", new Random(1)), RangeError, `on "pink"`);
});

Deno.test("SoundAndSight throws RangeError when a size or a number makes no sense", () => {
  assertThrows(() => new SoundAndSight({ train: 0 }), RangeError, "0 scenes");
  assertThrows(() => DATA.scene("test", 120), RangeError, "scenes 0 to 119, got 120");
});
