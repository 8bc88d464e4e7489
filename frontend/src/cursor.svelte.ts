// Where the reader is: one place that every panel looks at. It lives in the address, so a link names a sight.

export const SCREENS = ["run", "step", "boundary", "cost", "layers"] as const;
export const STAGES = ["forward", "loss", "backward", "update"] as const;
export type Screen = (typeof SCREENS)[number];
export type Stage = (typeof STAGES)[number];

/** Milliseconds after which the cursor rests: browsers write few addresses a second. */
const RESTED = 80;

export class Cursor {
  screen = $state<Screen>("run");
  step = $state(0);
  stage = $state<Stage>("forward");
  /** The example of the batch that is followed; null: the one that the step follows by itself. */
  example = $state<number | null>(null);
  /** What is chosen: a unit "dense[3]", a weight "dense/kernel[2,3]", or nothing. */
  of = $state("");
  /** What the pointer is on: the name of a number. It changes nothing but what lights up. */
  hover = $state("");
  /** The address as it was last read or written. */
  private known = "";
  private writing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.read();
  }

  /** Take the place that the address names. */
  read(): void {
    this.known = location.hash;
    const given = new URLSearchParams(location.hash.slice(1));
    const screen = given.get("screen") as Screen;
    const stage = given.get("stage") as Stage;
    if (SCREENS.includes(screen)) this.screen = screen;
    if (STAGES.includes(stage)) this.stage = stage;
    const step = Number(given.get("step") ?? NaN);
    if (Number.isInteger(step) && step >= 0) this.step = step;
    const example = given.get("example");
    this.example = example !== null && /^\d+$/.test(example) ? Number(example) : null;
    this.of = given.get("of") ?? "";
  }

  /** The place as an address. */
  get hash(): string {
    const before = new URLSearchParams(location.hash.slice(1));
    const parts = new URLSearchParams({ screen: this.screen, step: String(this.step) });
    if (this.screen === "step") parts.set("stage", this.stage);
    if (this.example !== null) parts.set("example", String(this.example));
    if (this.of) parts.set("of", this.of);
    const token = before.get("token");
    if (token) parts.set("token", token);
    return `#${parts}`;
  }

  /** Write the place into the address, once it has rested. */
  write(): void {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      // Somebody has just gone to another address, which is to be read.
      if (location.hash !== this.known) return;
      try {
        history.replaceState(null, "", this.hash);
        this.known = location.hash;
      } catch {
        // A frame of a notebook has no address of its own.
      }
    }, RESTED);
  }

  go(step: number): void {
    if (step !== this.step) this.example = null;
    this.step = step;
  }
}
