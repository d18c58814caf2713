import { assert, assertEquals, assertRejects } from "@std/assert";
import { CONCEPTS } from "../../../src/data/emoji_vqa/concepts.ts";
import { COUNTRY_CODES, loadCountries } from "../../../src/data/emoji_vqa/countries.ts";
import { EMOJI_STYLES, FLAG_STYLES } from "../../../src/data/emoji_vqa/scene.ts";
import { smallWorld, tinyPainter } from "./shared.ts";
import { scaleNamed } from "../../../src/data/emoji_vqa/scales.ts";

Deno.test("CONCEPTS has 272 names of 24 kinds, each with emoji", () => {
  assertEquals(CONCEPTS.length, 272);
  assertEquals(new Set(CONCEPTS.map(({ name }) => name)).size, 272);
  assertEquals(new Set(CONCEPTS.map(({ kind }) => kind)).size, 24);
  for (const { name, kind, emoji } of CONCEPTS) {
    assert(/^[a-z][a-z -]*$/.test(name), name);
    assert(/^[a-z]+$/.test(kind), kind);
    assert(emoji.length > 0 && emoji.every((e) => !/[a-z]/.test(e)), `${name}: ${emoji}`);
  }
  assertEquals(
    new Set(CONCEPTS.flatMap(({ emoji }) => emoji)).size,
    CONCEPTS.flatMap((c) => c.emoji).length,
  );
});

Deno.test("paint() finds a drawing in every style for every concept and country", async () => {
  const world = await smallWorld();
  const painter = await tinyPainter();
  assertEquals(painter.missingDrawings(world, EMOJI_STYLES, FLAG_STYLES), []);
});

Deno.test("loadCountries() gives plain one-line facts for all 191 countries", async () => {
  const countries = await loadCountries(COUNTRY_CODES);
  assertEquals(countries.length, 191);
  assertEquals(new Set(countries.map(({ name }) => name)).size, 191);
  for (const country of countries) {
    for (const fact of [country.name, country.capital, country.region, country.currency]) {
      assert(/^[a-z][a-z' -]*$/.test(fact), `${country.code}: "${fact}"`);
    }
  }
  const france = countries.find(({ code }) => code === "fr");
  assertEquals(france, {
    code: "fr",
    name: "france",
    capital: "paris",
    region: "europe",
    currency: "eur",
  });
  await assertRejects(() => loadCountries(["zz"]), RangeError, "zz");
});

Deno.test("the tiny scale names concepts and countries that exist, in one word each", async () => {
  const { concepts, countries } = scaleNamed("tiny");
  assert(concepts !== "all" && countries !== "all");
  const kinds = concepts.map((name) => CONCEPTS.find((concept) => concept.name === name)?.kind);
  assertEquals(kinds.length, 32);
  for (const kind of new Set(kinds)) assertEquals(kinds.filter((k) => k === kind).length, 4);
  assertEquals(new Set(kinds).size, 8);
  const facts = await loadCountries(countries);
  assertEquals(facts.length, 16);
  for (const { name, capital } of facts) assert(!/ /.test(name + capital), `${name} ${capital}`);
});
