import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { textFacts, vocabulary } from "../../../src/data/emoji_vqa/language.ts";
import { askAbout, FAMILIES } from "../../../src/data/emoji_vqa/questions.ts";
import { type Split, SPLITS } from "../../../src/data/emoji_vqa/scales.ts";
import { type Item, makeScene, QUADRANTS } from "../../../src/data/emoji_vqa/scene.ts";
import { isTrained } from "../../../src/data/emoji_vqa/world.ts";
import { annotate, scenes, smallWorld, tinyWorld } from "./shared.ts";

const WORLDS = { tiny: tinyWorld, small: smallWorld };
const COUNT = 400;

for (const [name, load] of Object.entries(WORLDS)) {
  Deno.test(`makeScene() shows nothing held out in trained splits of ${name}`, async () => {
    const world = await load(), n = world.concepts.length;
    for (const split of SPLITS) {
      for (const { items, kind } of scenes(world, split, COUNT)) {
        const things = items.flatMap((item) => item.type === "object" ? [item.concept] : []);
        const pairs = things.flatMap((a) =>
          things.filter((b) => world.held.pairs[a * n + b] === 1).map((b) => [a, b])
        );
        if (isTrained(split)) assertEquals(pairs, []);
        if (split === "comp" && things.length > 1) assertGreater(pairs.length, 0);
        for (const item of items) {
          const held = isHeldDrawing(item);
          if (held !== undefined) assertEquals(held, split === "style", `${item.type} in ${split}`);
          if (item.type === "digit") {
            assertEquals(item.writers, isTrained(split) ? "train" : "t10k");
          }
          if (item.type === "print") {
            const texts = item.isNumber ? "numbers" : "words";
            assert(world.scale.numberDigits === item.text.length || !item.isNumber);
            if (isTrained(split)) assert(world.print[texts].includes(item.text), item.text);
            if (split === "comp" && world.held[texts].length > 0) {
              assert(world.held[texts].includes(item.text), item.text);
            }
          }
        }
        assertEquals(kind === "flag", items.some((item) => item.type === "flag"));
        const cells = items.flatMap((item) =>
          item.type === "print" ? [item.cell, item.cell + 1] : [item.cell]
        );
        assertEquals(new Set(cells).size, cells.length, "two items in one quadrant");
        assert(cells.every((cell) => cell >= 0 && cell < QUADRANTS.length));
      }
    }
  });

  Deno.test(`askAbout() asks nothing held out in trained splits of ${name}`, async () => {
    const world = await load();
    const heldNames = new Set([...world.held.kinds].map((concept) => world.concepts[concept].name));
    const heldCountries = new Set([...world.held.countries].map((c) => world.countries[c].name));
    const tasks = new Set<string>();
    for (const split of SPLITS) {
      for (const scene of scenes(world, split, COUNT)) {
        const { questions, cells } = annotate(world, scene);
        const hasHeld = cells.some((cell) => heldNames.has(cell));
        const flagHeld = cells.some((cell) => heldCountries.has(cell.replace(/^flag /, "")));
        for (const { task } of questions) {
          tasks.add(task);
          if (isTrained(split)) {
            assert(!task.endsWith("-held"), `${task} in ${split}`);
            if (hasHeld) assert(!["count", "which"].includes(task), `${task} with ${cells}`);
            if (flagHeld) assert(!["capital", "region", "currency"].includes(task));
          }
          const trainedOnly = task === "exists";
          if (trainedOnly || ["random", "popular", "adversarial"].includes(task)) {
            assertEquals(trainedOnly, isTrained(split), `${task} in ${split}`);
          }
        }
      }
    }
    for (const task of world.scale.tasks) assert(tasks.has(task), `nothing asks ${task}`);
    assert(tasks.has("capital-held") && tasks.has("kind-held"));
  });

  Deno.test(`askAbout() gives answers that follow from the picture in ${name}`, async () => {
    const world = await load();
    const kindOf = new Map(world.concepts.map((concept) => [concept.name, concept.kind]));
    const capitalOf = new Map(world.countries.map((country) => [country.name, country.capital]));
    let checked = 0;
    for (const split of ["train", "comp"] as const) {
      for (const scene of scenes(world, split, COUNT)) {
        const { questions, cells, background } = annotate(world, scene);
        for (const { question, answer } of questions) {
          const words = question.match(
            /^(what is in the|where is the|how many|is there a|what kind is in the|which digit is beside the) (.+?) \?$/,
          );
          if (/ letter :$/.test(question)) {
            const cell = QUADRANTS.findIndex((quadrant) => question.includes(quadrant));
            const option = question.match(new RegExp(` ${answer} : (.+?)(?= [b-d] : | letter :)`));
            assertEquals(option?.[1], cells[cell]);
          } else if (words) {
            const [, kind, what] = words;
            const cell = QUADRANTS.indexOf(what as typeof QUADRANTS[number]);
            const flag = cells.findIndex((cell) => cell.startsWith("flag "));
            const place = what === "flag" && flag >= 0 ? flag : cells.indexOf(what);
            const expected = {
              "what is in the": cells[cell] || "nothing",
              "where is the": QUADRANTS[place],
              "how many": ["zero", "one", "two", "three", "four"][
                cells.filter((cell) => kindOf.get(cell) === what).length
              ],
              "is there a": cells.includes(what) ? "yes" : "no",
              "what kind is in the": kindOf.get(cells[cell]),
              "which digit is beside the": cells[place ^ 1]?.replace("hand ", ""),
            }[kind];
            assertEquals(answer, expected, `${question} of ${cells.join("/")}`);
          } else if (question.startsWith("what color")) assertEquals(answer, background);
          else if (question.startsWith("what is the capital")) {
            const country = cells.find((cell) => cell.startsWith("flag "))!.slice(5);
            assertEquals(answer, capitalOf.get(country));
          } else if (/^what (word|number) is written/.test(question)) {
            assert(cells.includes(`text ${answer}`), `${answer} of ${cells}`);
          } else if (question === "which digit is written by hand ?") {
            assert(cells.includes(`hand ${answer}`));
          } else continue;
          checked++;
        }
      }
    }
    assertGreater(checked, 3 * COUNT);
  });

  Deno.test(`vocabulary() holds every word of ${name} in every split`, async () => {
    const world = await load(), words = new Set(vocabulary(world));
    const check = (text: string) => {
      for (const word of text.split(" ")) {
        assert(word === "" || words.has(word), `"${word}": ${text}`);
      }
    };
    for (const split of SPLITS) {
      for (const scene of scenes(world, split, COUNT)) {
        const { caption, cells, questions, background } = annotate(world, scene);
        for (const text of [caption, background, ...cells]) check(text);
        for (const { question, answer } of questions) {
          check(question);
          check(answer);
          assertEquals(`${question} ${answer}`.includes("  "), false);
        }
      }
    }
    for (const { question, answer } of textFacts(world)) check(`${question} ${answer}`);
  });
}

/** Whether an item is drawn in a way kept for the style split; undefined where there is none. */
function isHeldDrawing(item: Item): boolean | undefined {
  if (item.type === "object") return item.style === "noto";
  if (item.type === "flag") return item.style === "circle";
  if (item.type === "print") return ["playfair-display", "courier-prime"].includes(item.font);
}

Deno.test("vocabulary() of tiny has 147 words, so that checkpoints keep their size", async () => {
  assertEquals(vocabulary(await tinyWorld()).length, 147);
});

Deno.test("makeScene() is pure when called again, and differs between splits", async () => {
  const world = await tinyWorld();
  for (let index = 0; index < 50; index++) {
    assertEquals(makeScene(world, "train", index), makeScene(world, "train", index));
    assertEquals(
      askAbout(world, makeScene(world, "comp", index)),
      askAbout(world, makeScene(world, "comp", index)),
    );
  }
  const describe = (split: Split) =>
    scenes(world, split, 50).map((scene) => annotate(world, scene).caption).join();
  assertEquals(new Set(SPLITS.map(describe)).size, SPLITS.length);
});

Deno.test("makeScene() holds two different digits when a row pairs each with a thing", async () => {
  const world = await smallWorld();
  let pairs = 0;
  for (const { items } of scenes(world, "train", COUNT)) {
    const digits = items.flatMap((item) => item.type === "digit" ? [item.label] : []);
    if (digits.length !== 2) continue;
    pairs++;
    assert(digits[0] !== digits[1]);
  }
  assertGreater(pairs, 10);
});

Deno.test("makeScene() draws things by a skewed law that brings kinds together", async () => {
  const world = await tinyWorld();
  const counts = new Array(world.concepts.length).fill(0);
  let sameKind = 0, pairs = 0;
  for (const { items } of scenes(world, "train", 2000)) {
    const things = items.flatMap((item) => item.type === "object" ? [item.concept] : []);
    for (const thing of things) counts[thing]++;
    if (things.length !== 2) continue;
    pairs++;
    if (world.concepts[things[0]].kind === world.concepts[things[1]].kind) sameKind++;
  }
  const share = (from: number, to: number) => counts.slice(from, to).reduce((a, b) => a + b, 0);
  assertGreater(share(0, 8), 1.4 * share(24, 32));
  assertGreater(sameKind / pairs, 0.3); // by chance about 0.1
});

Deno.test("askAbout() says yes and no equally often of every name in training", async () => {
  const world = await tinyWorld();
  const yes = new Map<string, number>(), no = new Map<string, number>();
  let right = 0, asked = 0;
  for (const scene of scenes(world, "train", 6000)) {
    for (const { task, question, answer } of askAbout(world, scene)) {
      if (task !== "exists") continue;
      const counts = answer === "yes" ? yes : no;
      counts.set(question, (counts.get(question) ?? 0) + 1);
      asked++;
    }
  }
  for (const question of yes.keys()) {
    right += Math.max(yes.get(question) ?? 0, no.get(question) ?? 0);
  }
  assertEquals(yes.size, world.concepts.length);
  assertLess(right / asked, 0.54); // the majority answer to each name, in hindsight
});

Deno.test("askAbout() covers the four families in every split with pictures", async () => {
  const world = await tinyWorld();
  for (const split of SPLITS) {
    const families = new Set(
      scenes(world, split, 60).flatMap((scene) => askAbout(world, scene)).map((q) => q.family),
    );
    assertEquals([...families].sort(), [...FAMILIES].sort());
  }
});

Deno.test("hold-outs have the shares that the scale asks for", async () => {
  const tiny = await tinyWorld(), small = await smallWorld();
  assertEquals(tiny.held.countries.size, 3);
  assertEquals(tiny.held.kinds.size, 4);
  assertEquals(tiny.held.numbers.length, 9);
  assertEquals(tiny.held.words.length, 0);
  assertEquals(small.held.countries.size, 48);
  assertEquals(small.held.kinds.size, 68);
  const heldKinds = [...tiny.held.kinds].map((concept) => tiny.concepts[concept].kind);
  for (const [kind, members] of tiny.kinds) {
    const held = heldKinds.filter((other) => other === kind).length;
    assertLess(held, members.length, `every ${kind} is held out`);
  }
});
