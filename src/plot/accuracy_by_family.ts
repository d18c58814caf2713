/**
 * Accuracy per family and split, the variants side by side, and the paper's numbers beneath.
 *
 * @module
 */

import {
  type Estimate,
  estimateCaption,
  extent,
  type IntervalOptions,
  whiskers,
} from "./estimate.ts";
import type { Figure, Json, Trace } from "./figure.ts";
import { round } from "./numbers.ts";
import { panelSuffix, panelTitle, stack } from "./panels.ts";
import { axis, baseLayout, INK, MUTED, seriesStyle, topMargin } from "./theme.ts";

/** Accuracy of one variant on one family: shares from 0 to 1. */
export interface FamilyEstimate extends Estimate {
  /** Variant: `"Dense"`, `"MoIIE"`, … */
  readonly variant: string;
  /** Family of questions: `"general"`, `"ocr"`, … or `"macro"`. */
  readonly family: string;
  /** Split; every split has a panel of its own. */
  readonly split?: string;
  /** Number of questions behind every seed's accuracy. */
  readonly questions?: number;
}

/** What can be reached on a family without the picture: shares from 0 to 1. */
export interface FamilyFloor {
  /** Family of questions. */
  readonly family: string;
  /** Split; the floor holds in all splits when it is left out. */
  readonly split?: string;
  /** Accuracy of the best answer that ignores the picture. */
  readonly floor: number;
  /** Accuracy of a random answer among the possible ones. */
  readonly chance?: number;
}

/** A score that the paper reports. */
export interface PaperScore {
  /** Variant, named as in the figure's own rows. */
  readonly variant: string;
  /** Benchmark of the paper. */
  readonly benchmark: string;
  /** The printed score, mostly percent. */
  readonly score: number;
}

/** Options of {@linkcode accuracyByFamily}. */
export interface AccuracyByFamilyOptions extends IntervalOptions {
  /** Title; "Accuracy by family" by default. */
  readonly title?: string;
  /** Blind floors and chance levels. */
  readonly floors?: readonly FamilyFloor[];
  /** What the floor is; "blind floor: best answer without the picture" by default. */
  readonly floorName?: string;
  /** The paper's scores, drawn in a panel of their own. */
  readonly paper?: readonly PaperScore[];
  /** Where these are from: "paper, table 1, 2M". */
  readonly paperName?: string;
  /** Width in CSS pixels. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/** A panel: its groups along the axis, and its marks. */
interface Panel {
  readonly title: string;
  readonly axis: string;
  readonly groups: readonly string[];
  readonly labels: readonly string[];
  /** Marks in percent. */
  readonly marks: readonly (Estimate & { readonly variant: string; readonly group: string })[];
  readonly floors: readonly { readonly group: string; floor: number; chance?: number }[];
}

const FLOOR = "blind floor: best answer without the picture";
const PANEL_HEIGHT = 260;
/** Share of the distance between two groups that the marks of one group take. */
const SPREAD = 0.72;

/**
 * Draws accuracies as dots with whiskers, one panel a split: variants side by side within each
 * family, single seeds as small ticks, the blind floor as a dashed and chance as a dotted line
 * across the family. The paper's scores follow in a panel with its own benchmarks, so that the two
 * are not mistaken for measures of the same thing.
 *
 * @param rows One row a variant, family and split; shares from 0 to 1.
 * @param options Floors, the paper's scores, title and size.
 * @returns A figure.
 * @throws {RangeError} If there are no rows, or an accuracy or floor is outside 0…1.
 */
export function accuracyByFamily(
  rows: readonly FamilyEstimate[],
  options: AccuracyByFamilyOptions = {},
): Figure {
  if (rows.length === 0) throw new RangeError("accuracyByFamily() needs at least one row, got 0.");
  const { floors = [], paper = [], floorName = FLOOR } = options;
  const shares = [
    ...rows.map(({ family, mean }) => ({ family, value: mean })),
    ...floors.map(({ family, floor }) => ({ family, value: floor })),
  ];
  const wrong = shares.find(({ value }) => !(value >= 0 && value <= 1));
  if (wrong) {
    throw new RangeError(
      `Accuracy or floor ${wrong.value} of "${wrong.family}" must be a share from 0 to 1, not a ` +
        "percentage.",
    );
  }
  const variants = [...new Set([...rows, ...paper].map(({ variant }) => variant))];
  const splits = [...new Set(rows.map(({ split }) => split ?? ""))];
  const panels = splits.map((split) => splitPanel(split, rows, floors));
  if (paper.length > 0) panels.push(paperPanel(paper, options.paperName));

  const most = Math.max(...panels.map(({ groups }) => groups.length));
  const width = options.width ?? Math.min(1100, Math.max(720, 200 + most * variants.length * 26));
  const subtitle = `${estimateCaption(rows, options.interval)}${
    floors.length > 0 ? `; ${floorName}` : ""
  }${paper.length > 0 ? "; the paper gives no seeds and no intervals" : ""}`;
  const top = topMargin({ title: "", subtitle, width, headroom: 22 });
  const height = options.height ?? Math.round(top + 60 + panels.length * PANEL_HEIGHT);
  const gap = 84 / (height - top - 60);
  const domains = stack(panels.map(() => 1), gap);

  const axes: Record<string, Json> = {};
  panels.forEach((panel, index) => {
    const suffix = panelSuffix(index);
    const values = panel.marks.flatMap(({ mean, high = mean }) => [mean, high]);
    axes[`xaxis${suffix}`] = axis({
      title: panel.axis,
      anchor: `y${suffix}`,
      tickvals: panel.groups.map((_, place) => place),
      ticktext: panel.labels,
      range: [-0.55, panel.groups.length - 0.45],
      showgrid: false,
    });
    axes[`yaxis${suffix}`] = axis({
      title: index < splits.length ? "accuracy (%)" : "score (%)",
      anchor: `x${suffix}`,
      domain: domains[index],
      range: [0, Math.max(...values) > 92 ? 108 : 100],
      tickvals: [0, 20, 40, 60, 80, 100],
    });
  });
  return {
    data: [
      ...panels.flatMap((panel, index) => {
        const pitch = (width - 260) * SPREAD / (panel.groups.length * variants.length);
        const decimals = pitch >= 27 ? 1 : pitch >= 15 ? 0 : undefined;
        return panelTraces(panel, index, variants, { decimals, floorName });
      }),
    ],
    layout: baseLayout({
      title: options.title ?? "Accuracy by family",
      subtitle,
      headroom: 22,
      width,
      height,
      ...axes,
      annotations: panels.map(({ title }, index) =>
        panelTitle(`<b>${title}</b>`, 0, domains[index][1])
      ),
    }),
  };
}

function splitPanel(
  split: string,
  rows: readonly FamilyEstimate[],
  floors: readonly FamilyFloor[],
): Panel {
  const own = rows.filter((row) => (row.split ?? "") === split);
  const groups = [...new Set(own.map(({ family }) => family))];
  const percentages = (values?: readonly number[]): number[] | undefined =>
    values?.map((value) => 100 * value);
  return {
    title: split ? `here, split ${split}` : "here",
    axis: "family of questions",
    groups,
    labels: groups.map((family) => {
      const sizes = new Set(own.filter((row) => row.family === family).map((row) => row.questions));
      const [size] = sizes;
      return sizes.size === 1 && size !== undefined
        ? `${family}<br><span style="font-size:10px">${size} questions</span>`
        : family;
    }),
    marks: own.map((row) => ({
      variant: row.variant,
      group: row.family,
      mean: 100 * row.mean,
      ...(row.low === undefined ? {} : { low: 100 * row.low }),
      ...(row.high === undefined ? {} : { high: 100 * row.high }),
      ...(row.seeds ? { seeds: percentages(row.seeds) } : {}),
    })),
    floors: floors
      .filter((floor) => (floor.split ?? split) === split && groups.includes(floor.family))
      .map(({ family, floor, chance }) => ({
        group: family,
        floor: 100 * floor,
        ...(chance === undefined ? {} : { chance: 100 * chance }),
      })),
  };
}

function paperPanel(scores: readonly PaperScore[], name = "paper"): Panel {
  const groups = [...new Set(scores.map(({ benchmark }) => benchmark))];
  return {
    title: name,
    axis: "the paper's benchmark",
    groups,
    labels: groups,
    marks: scores.map(({ variant, benchmark, score }) => ({
      variant,
      group: benchmark,
      mean: score,
    })),
    floors: [],
  };
}

function panelTraces(
  panel: Panel,
  index: number,
  variants: readonly string[],
  { decimals, floorName }: { decimals: number | undefined; floorName: string },
): Trace[] {
  const suffix = panelSuffix(index);
  const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}` };
  const at = (group: string, variant: string): number =>
    round(
      panel.groups.indexOf(group) +
        (variants.indexOf(variant) - (variants.length - 1) / 2) * (SPREAD / variants.length),
    );
  const traces: Trace[] = [];
  const [short] = floorName.split(":");
  for (const [name, key, dash] of [[short, "floor", "dash"], ["chance", "chance", "dot"]]) {
    const levels = panel.floors.flatMap((floor) => {
      const level = floor[key as "floor" | "chance"];
      return level === undefined ? [] : [{ level, place: panel.groups.indexOf(floor.group) }];
    });
    if (levels.length === 0) continue;
    traces.push({
      type: "scatter",
      mode: "lines",
      name,
      legendgroup: name,
      showlegend: index === 0,
      ...axes,
      x: levels.flatMap(({ place }) => [round(place - 0.44), round(place + 0.44), null]),
      y: levels.flatMap(({ level }) => [round(level, 2), round(level, 2), null]),
      line: { color: name === "chance" ? MUTED : INK, width: 1.8, dash },
      hovertemplate: `${name}: %{y} %<extra></extra>`,
    });
  }
  variants.forEach((variant, order) => {
    const marks = panel.marks.filter((mark) => mark.variant === variant);
    if (marks.length === 0) return;
    const style = seriesStyle(order);
    const ticks = marks.flatMap(({ group, seeds = [] }) =>
      seeds.map((value) => ({
        // Beside the dot, which would hide them.
        x: round(at(group, variant) + (0.38 * SPREAD) / variants.length),
        y: round(value, 2),
      }))
    );
    if (ticks.length > 0) {
      traces.push({
        type: "scatter",
        mode: "markers",
        name: `${variant}, single seeds`,
        legendgroup: variant,
        showlegend: false,
        hoverinfo: "skip",
        ...axes,
        x: ticks.map(({ x }) => x),
        y: ticks.map(({ y }) => y),
        marker: { symbol: "line-ew-open", size: 6, color: MUTED, line: { width: 1 } },
      });
    }
    const hasInterval = marks.some(({ low, high }) => low !== undefined || high !== undefined);
    traces.push({
      type: "scatter",
      mode: "markers",
      name: variant,
      legendgroup: variant,
      showlegend: index === 0,
      ...axes,
      x: marks.map(({ group }) => at(group, variant)),
      y: marks.map(({ mean }) => round(mean, 2)),
      ...(hasInterval ? { error_y: whiskers(marks, style.color) } : {}),
      marker: {
        symbol: style.marker,
        size: 9,
        color: style.color,
        line: { color: INK, width: 0.6 },
      },
      customdata: marks.map(({ group }) => group),
      hovertemplate: `${variant}, %{customdata}: %{y} %<extra></extra>`,
    });
    if (decimals === undefined) return;
    traces.push({
      type: "scatter",
      mode: "text",
      name: `${variant}, numbers`,
      legendgroup: variant,
      showlegend: false,
      hoverinfo: "skip",
      ...axes,
      x: marks.map(({ group }) => at(group, variant)),
      y: marks.map((mark) => round(extent([mark])[0] - 3, 2)),
      text: marks.map(({ mean }) => mean.toFixed(decimals)),
      textposition: "bottom center",
      textfont: { size: 9 },
    });
  });
  return traces;
}
