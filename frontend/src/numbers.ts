// How numbers and names are written: as in the formulas, with four digits.

import type { Tensor } from "./answers";

/** A number as formulas print it. */
export function shown(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value === 0 ? 0 : value);
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -4 || size >= digits) {
    const [head = "", power = "0"] = value.toExponential(digits - 1).split("e");
    const number = Number(power);
    const two = String(Math.abs(number)).padStart(2, "0");
    return `${trimmed(head)}e${number < 0 ? "-" : "+"}${two}`;
  }
  return trimmed(value.toPrecision(digits));
}

function trimmed(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A number that fits into a circle. */
export function short(value: number | undefined): string {
  if (value === undefined) return "";
  const text = shown(value, 2);
  return text.replace("-0.", "-.").replace(/^0\./, ".");
}

/** A whole number, with commas. */
export function counted(value: number): string {
  return value.toLocaleString("en-US");
}

/** Things in words: "1 row", "8 rows". */
export function several(count: number, one: string, many = `${one}s`): string {
  return `${counted(count)} ${count === 1 ? one : many}`;
}

/** One number of an array; NaN where it has none. */
export function at(array: Tensor | null | undefined, ...index: number[]): number {
  if (!array) return NaN;
  let place = 0;
  for (let axis = 0; axis < index.length; axis++) place = place * (array.shape[axis] ?? 1) + (index[axis] ?? 0);
  return array.data[place] ?? NaN;
}

/** How long the first axis is. */
export function length(array: Tensor | null | undefined): number {
  return array?.shape[0] ?? 0;
}

export function list(array: Tensor | null | undefined): number[] {
  return array ? Array.from(array.data as ArrayLike<number>) : [];
}

/** The largest and smallest finite numbers. */
export function ends(values: Iterable<number>): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}

/** A weight's name without its place, and its place: "dense/kernel[2,3]" is ["dense/kernel", [2, 3]]. */
export function parted(reference: string): [string, number[]] {
  const found = /^(.*?)(?:\[([\d,\s]*)\])?$/.exec(reference);
  return [found?.[1] ?? reference, found?.[2] ? found[2].split(",").map(Number) : []];
}

export function indexed(name: string, index: number[]): string {
  return index.length ? `${name}[${index.join(",")}]` : name;
}
