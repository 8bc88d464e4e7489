// At which costs the lines of a map are drawn.

import { ends } from "./numbers";

/** Whether costs spread so widely that ratios tell more than differences. */
export function geometric(values: number[]): boolean {
  const [low, high] = ends(values);
  return low > 0 && high / low > 8;
}

/** Levels from the lowest cost to the highest: at equal ratios, or closer where the cost is low. */
export function levels(values: number[], count: number): number[] {
  const [low, high] = ends(values);
  if (!(high > low)) return [low];
  const ratios = geometric(values);
  return Array.from({ length: count }, (_, place) => {
    const part = place / count;
    return ratios ? low * (high / low) ** part : low + (high - low) * part ** 2;
  });
}
