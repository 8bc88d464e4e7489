// Answers as bytes: a head of JSON, in which arrays say where they lie, and then the arrays themselves.

import type { Numbers, Tensor } from "./answers";

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array };
const BESIDE: Record<string, number> = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** Bytes whose head was read; what lies in it is restored when it is asked for. */
export class Wire {
  readonly head: unknown;
  private readonly begin: number;

  constructor(private readonly buffer: ArrayBuffer) {
    const size = Number(new DataView(buffer).getBigUint64(0, true));
    this.begin = 8 + size;
    if (this.begin > buffer.byteLength) throw new Error("this answer is cut off");
    this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  }

  /** A part of the head, with its arrays: views into the bytes, nothing is copied. */
  restored(part: unknown): unknown {
    return restored(part, this.buffer, this.begin, this.buffer.byteLength);
  }
}

/** The answer that lies in these bytes. */
export function decode<T>(buffer: ArrayBuffer): T {
  const wire = new Wire(buffer);
  return wire.restored(wire.head) as T;
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
