// Answers as bytes: a head of JSON, in which arrays say where they lie, and then the arrays themselves.

import type { Numbers, Tensor } from "./answers";

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array };
const BESIDE: Record<string, number> = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** The answer that lies in these bytes; arrays are views into them, nothing is copied. */
export function decode<T>(buffer: ArrayBufferLike, offset = 0, length = buffer.byteLength - offset): T {
  const view = new DataView(buffer, offset, length);
  const size = Number(view.getBigUint64(0, true));
  if (8 + size > length) throw new Error("this answer is cut off");
  const text = new TextDecoder().decode(new Uint8Array(buffer as ArrayBuffer, offset + 8, size));
  const begin = offset + 8 + size;
  return restored(JSON.parse(text), buffer as ArrayBuffer, begin, offset + length) as T;
}

function restored(value: unknown, buffer: ArrayBuffer, begin: number, end: number): unknown {
  if (Array.isArray(value)) return value.map((each) => restored(each, buffer, begin, end));
  if (value === null || typeof value !== "object") return value;
  const known = value as Record<string, unknown>;
  if ("$array" in known) return array(known.$array as [string, number[], number], buffer, begin, end);
  if ("$number" in known) return BESIDE[known.$number as string];
  const made: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(known)) {
    made[key.startsWith("$$") ? key.slice(1) : key] = restored(each, buffer, begin, end);
  }
  return made;
}

function array(
  [kind, shape, at]: [string, number[], number],
  buffer: ArrayBuffer,
  begin: number,
  end: number,
): Tensor {
  const size = shape.reduce((product, each) => product * each, 1);
  const type = KINDS[kind as keyof typeof KINDS];
  if (!type || begin + at + size * type.BYTES_PER_ELEMENT > end) throw new Error("this array is cut off");
  return { shape, data: new type(buffer, begin + at, size) as Numbers };
}
