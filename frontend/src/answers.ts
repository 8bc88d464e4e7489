// What the page asks, and what it is answered: the same names as in pellucid/views/payload.
// Numbers come from recorded and opened steps. The page looks them up and computes none of its own.

export type Floats = Float32Array | Float64Array;
export type Numbers = Floats | Int32Array | Uint8Array;

/** An array with its shape: `data` in C order. */
export interface Tensor<A extends Numbers = Numbers> {
  shape: number[];
  data: A;
}

export interface LayerLine {
  name: string;
  kind: string;
  activation: string;
  input: string;
  output: string;
  parameters: number;
  states: boolean;
}

export interface WeightLine {
  path: string;
  shape: number[];
  size: number;
}

export interface ColumnLine {
  name: string;
  low: number;
  high: number;
  mean: number;
  spread: number;
  missing: number;
}

export interface Run {
  title: string;
  model: string;
  loss: string;
  optimizer: string;
  steps: number;
  first_step: number;
  /** The last step that opens without others being run again: the one to follow while more are trained. */
  at_hand: number;
  first_epoch: number;
  steps_per_epoch: number;
  epochs: Tensor;
  epoch_starts: Tensor;
  history: Record<string, Tensor>;
  layers: LayerLine[];
  weights: WeightLine[];
  weights_count: number;
  /** Two weights that a cost is drawn over, where nothing else is asked. */
  pair: string[];
  columns: string[];
  labels: string[];
  data: {
    rows: number;
    features: number;
    here: boolean;
    columns: ColumnLine[];
    said: string | null;
    target: { kind: string; counts?: number[]; low?: number; high?: number };
  };
  batch_size: number;
  opens: boolean;
  why_not: string;
  made_by: string;
}

export interface Log {
  step: Tensor;
  epoch: Tensor;
  cost: Tensor;
  learning_rate: Tensor;
  kept: string;
}

export interface Norms {
  step: Tensor;
  layers: { name: string; gradient: Tensor; update: Tensor; weights: Tensor; ratio: Tensor }[];
}

export type Kind = "output" | "z" | "d_output" | "d_z";
export type Edges = "weights" | "gradients" | "updates";

export interface Column {
  name: string;
  kind: string;
  headline: string;
  units: number;
  shape: string;
  drawn: Tensor;
  index: number[][];
  labels: string[];
  bias_path: string | null;
  values: Partial<Record<Kind, Tensor>>;
  bias: Record<Edges, Tensor> | null;
  states: boolean;
}

export interface Link {
  kind: "weights" | "one to one" | "";
  kernel: string | null;
  weights: Tensor | null;
  gradients: Tensor | null;
  updates: Tensor | null;
  largest: Record<Edges, number> | null;
}

export interface Step {
  number: number;
  epoch: number;
  batch: number;
  batches_in_epoch: number;
  title: string;
  sentence: string;
  exact: boolean;
  agreement: string;
  batch_of: {
    size: number;
    places: Tensor;
    places_said: string;
    rows: Tensor | null;
    numbers: Tensor | null;
    columns: string[];
    x: Tensor | null;
    x_said: string;
    y: Tensor | null;
    y_said: string;
    outputs: Tensor | null;
    outputs_said: string;
    kind: "probability" | "class" | "number" | "other";
    right_count: number | null;
    losses: Tensor | null;
    shares: Tensor | null;
    weight: Tensor | null;
    right: Tensor | null;
    labels: string[];
    threshold: number;
  };
  followed: number;
  followed_said: string;
  cost: number;
  cost_before: number | null;
  penalty: number;
  plain_mean: boolean;
  optimizer: {
    kind: string;
    line: string;
    learning_rate: number;
    iteration: number;
    skipped: boolean;
    loss_scale: number | null;
  };
  columns: Column[];
  links: Link[];
  weights: {
    path: string;
    shape: number[];
    size: number;
    norm: number;
    gradient_norm: number;
    update_norm: number;
    ratio: number;
    nan: number;
    inf: number;
    zero: number;
  }[];
  strongest: string[];
}

export interface Formula {
  of: string;
  mathml: string;
  symbols: string;
  text: string;
  python: string;
  value: number;
  recorded: number;
  holds: boolean;
  remark: string;
}

export interface Formulas {
  formulas: Record<string, Formula>;
  unstated: string[];
}

export interface Weight {
  of: string;
  path: string;
  index: number[];
  gradient: number;
  penalty: number;
  examples: Tensor;
  rows: Tensor | null;
  gradients: Tensor;
  shares: Tensor;
  pushes: Tensor;
  rest: number;
  before: number;
  after: number;
  update: number;
  state: { name: string; before: number; after: number }[];
  learning_rate: number;
  formulas: Record<"gradient" | "update" | "after", Formula | null>;
}

export interface Grid {
  values: Tensor;
  cell: [number, number];
  shape: number[];
  largest: number;
  clip: number;
  nan: number;
  inf: number;
  zero: number;
  norm: number;
  mean: number;
}

export interface Heat {
  path: string;
  shape: number[];
  weights: Grid;
  gradients: Grid;
  updates: Grid;
  state: { name: string; grid: Grid }[];
}

export interface Layers {
  arrays: Heat[];
  units: { name: string; units: number; silent: number; saturated: number; said: string }[];
}

export interface Spread {
  of: string;
  step: Tensor;
  quantiles: Tensor;
}

export interface Boundary {
  kind: "probability" | "class" | "number";
  features: number[];
  names: string[];
  columns: string[];
  xx0: Tensor;
  xx1: Tensor | null;
  response: Tensor;
  points: Tensor;
  places: Tensor;
  examples: Tensor;
  answers: Tensor;
  targets: Tensor | null;
  wrong: Tensor | null;
  losses: Tensor | null;
  labels: string[];
  held: string;
  threshold: number;
  equation: string;
  when: string;
  thresholds: Tensor;
  confusion: Tensor | null;
  said: string;
}

export interface Surface {
  weights: string[];
  axes: [string, string];
  xx: Tensor;
  yy: Tensor;
  costs: Tensor;
  path: Tensor;
  path_steps: Tensor;
  path_costs: Tensor;
  share: number;
  measured_on: string;
  held: string;
}

export interface Descent {
  at: [number, number];
  cost: number;
  gradient: [number, number];
  rates: Tensor;
  next: Tensor;
  costs_after: Tensor;
  rate: number;
  steps_said: string;
}

/** Each question by its name: what it takes, and what it is answered. */
export interface Questions {
  run: [Record<string, never>, Run];
  log: [Record<string, never>, Log];
  norms: [Record<string, never>, Norms];
  step: [{ step: number }, Step];
  formulas: [{ step: number; example: number }, Formulas];
  formula: [{ step: number; of: string; example: number }, Formula];
  weight: [{ step: number; of: string }, Weight];
  layers: [{ step: number }, Layers];
  tensor: [{ step: number; of: string; what?: string; rows?: string; columns?: string }, Grid];
  spread: [{ of: string }, Spread];
  boundary: [{ step: number; features?: string; grid?: number; others?: string }, Boundary];
  surface: [{ weights?: string; grid?: number }, Surface];
  descent: [{ step: number; weights?: string }, Descent];
}

export type Name = keyof Questions;

/** A question as a string: its name and parameters, the keys in order; what is undefined is left out. */
export function question<N extends Name>(name: N, params: Questions[N][0]): string {
  const given = Object.entries(params as Record<string, unknown>)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${quoted(String(value))}`);
  return given.length ? `${name}?${given.join("&")}` : name;
}

/** Percent-encoded as Python's `quote(text, safe="")` does. */
function quoted(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
