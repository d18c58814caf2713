/**
 * Scenes in words: phrases of the quadrants, and captions.
 *
 * @module
 */

import { type Item, QUADRANTS, type Scene } from "./scene.ts";
import type { World } from "./world.ts";

/** A printed text as it is asked for: spelled, or as one word where the scale does not spell. */
export function spell(world: World, text: string, isNumber: boolean): string {
  return isNumber || world.scale.spellWords ? [...text].join(" ") : text;
}

/** What an item is called: "dog", "flag france", "hand 4" or "text 4 2". */
export function phrase(world: World, item: Item): string {
  switch (item.type) {
    case "object":
      return world.concepts[item.concept].name;
    case "flag":
      return `flag ${world.countries[item.country].name}`;
    case "digit":
      return `hand ${item.label}`;
    case "print":
      return `text ${spell(world, item.text, item.isNumber)}`;
  }
}

/** The phrase of each quadrant, "" where nothing lies; printed text lies in both of its row. */
export function describeCells(world: World, scene: Scene): string[] {
  const cells = ["", "", "", ""];
  for (const item of scene.items) {
    cells[item.cell] = phrase(world, item);
    if (item.type === "print") cells[item.cell + 1] = cells[item.cell];
  }
  return cells;
}

/** The caption: every item with its quadrant in reading order, then the background. */
export function caption(world: World, scene: Scene): string {
  const items = scene.items.map((item) =>
    item.type === "print" ? phrase(world, item) : `${QUADRANTS[item.cell]} ${phrase(world, item)}`
  );
  return [...items, `background ${scene.background}`].join(" , ");
}
