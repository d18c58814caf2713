import { assertEquals } from "@std/assert";
import { blindFloors } from "../../../src/data/emoji_vqa/floors.ts";
import type { Family, Question } from "../../../src/data/emoji_vqa/questions.ts";

const q = (family: Family, task: string, question: string, answer: string): Question => ({
  family,
  task,
  question,
  answer,
});

Deno.test("blindFloors() answers by text first and by task when the text is new", () => {
  const train = [
    q("general", "color", "what color ?", "red"),
    q("general", "color", "what color ?", "red"),
    q("general", "color", "what color ?", "blue"),
    q("knowledge", "capital", "a ?", "x"),
    q("knowledge", "capital", "b ?", "y"),
    q("knowledge", "capital", "b ?", "y"),
    q("hallucination", "exists", "is there a dog ?", "no"),
    q("ocr", "word", "which word ?", "b"),
    q("ocr", "word", "which word ?", "a"),
  ];
  const test = [
    q("general", "color", "what color ?", "red"),
    q("general", "color", "what color ?", "blue"),
    q("knowledge", "capital", "a ?", "x"),
    q("knowledge", "capital-held", "c ?", "y"), // unknown text: the task's majority
    q("hallucination", "popular", "is there a dog ?", "no"),
    q("hallucination", "popular", "is there a cat ?", "no"), // unknown text and task
    q("ocr", "word", "which word ?", "a"), // tie: the first in order
  ];
  const floors = blindFloors(train, test);
  assertEquals(floors.families, { general: 0.5, ocr: 1, knowledge: 1, hallucination: 0.5 });
  assertEquals(floors.macro, 0.75);
  assertEquals(floors.tasks, { capital: 1, "capital-held": 1, color: 0.5, popular: 0.5, word: 1 });
  assertEquals(floors.counts, { general: 2, ocr: 1, knowledge: 2, hallucination: 2 });
});
