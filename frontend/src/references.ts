// What the numbers of a formula stand for: a unit, a weight or a row of the batch.

import type { Column, Link, Step } from "./answers";
import { indexed, list, parted } from "./numbers";

export interface Sight {
  /** Columns are counted from the input on; units are places among those that are drawn. */
  unit?: [column: number, unit: number];
  edge?: [link: number, from: number, to: number];
  bias?: [column: number, unit: number];
  example?: number;
}

/** What a name in a formula stands for in the picture of the network. */
export function sight(step: Step, reference: string): Sight {
  if (!reference) return {};
  const bare = reference.replace(/ (before|after)$/, "").replace(/\.(gradient|update)$/, "");
  const [name, index] = parted(bare);
  for (const [place, link] of step.links.entries()) {
    if (link.kernel !== name) continue;
    const from = position(step.columns[place], index.slice(0, -1));
    const to = position(step.columns[place + 1], index.slice(-1));
    return from >= 0 && to >= 0 ? { edge: [place, from, to] } : {};
  }
  for (const [place, column] of step.columns.entries()) {
    if (column.bias_path === name) {
      const unit = position(column, index);
      return unit >= 0 ? { bias: [place, unit] } : {};
    }
  }
  const found = /^(.*)\.(input|output|z|d_z|d_output)$/.exec(name);
  if (found) return unitOf(step, found[1] ?? "", found[2] === "input", index);
  const loss = /^(?:dloss|.*loss|y|output|target|weight)$/.exec(name.split("/").pop() ?? "");
  if (loss && index.length) return { example: index[0] };
  // The name of an input, and of which example where others come beside it.
  const input = step.columns[0];
  const unit = input ? input.labels.indexOf(name) : -1;
  if (unit >= 0) return { unit: [0, unit], ...(index.length ? { example: index[0] } : {}) };
  return {};
}

/** Whether two names stand for the same unit, weight or bias of the picture. */
export function together(step: Step, name: string, other: string): boolean {
  const [one, two] = [sight(step, name), sight(step, other)];
  const same = (part: "unit" | "edge" | "bias"): boolean => one[part] !== undefined && one[part].join() === two[part]?.join();
  return same("unit") || same("edge") || same("bias");
}

function unitOf(step: Step, name: string, input: boolean, index: number[]): Sight {
  const own = step.columns.findIndex((column, place) => place > 0 && column.name === name);
  if (own < 0) return {};
  const place = input ? own - 1 : own;
  const column = step.columns[place];
  const rank = column?.index[0]?.length ?? 1;
  const others = index.length > rank;
  const unit = position(column, others ? index.slice(index.length - rank) : index);
  return { ...(unit >= 0 ? { unit: [place, unit] as [number, number] } : {}), ...(others ? { example: index[0] } : {}) };
}

function position(column: Column | undefined, index: number[]): number {
  const wanted = index.join(",");
  return column ? column.index.findIndex((each) => each.join(",") === wanted) : -1;
}

/** The name of a unit: "dense[3]", or "input[2]". */
export function unitName(column: Column, unit: number): string {
  return indexed(column.name || "input", column.index[unit] ?? []);
}

/** What people call a unit. */
export function unitTitle(column: Column, unit: number): string {
  return column.labels[unit] || unitName(column, unit);
}

/** The weight between two units that are drawn. */
export function edgeName(link: Link, before: Column, after: Column, from: number, to: number): string {
  return link.kernel ? indexed(link.kernel, [...(before.index[from] ?? []), ...(after.index[to] ?? [])]) : "";
}

/** The unit that a name "dense[3]" names; null if it is none that is drawn. */
export function unitNamed(step: Step, of: string): [number, number] | null {
  const [name, index] = parted(of);
  const column = step.columns.findIndex((each, place) => (place ? each.name === name : name === "input"));
  const unit = position(step.columns[column], index);
  return column >= 0 && unit >= 0 ? [column, unit] : null;
}

/** Whether a name is that of a weight of the model. */
export function isWeight(step: Step, of: string): boolean {
  const [path] = parted(of);
  return step.weights.some((each) => each.path === path);
}

/** The place in the arrays of an example of the batch. */
export function placeOf(step: Step, example: number): number {
  return list(step.batch_of.places).indexOf(example);
}
