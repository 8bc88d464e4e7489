// Where answers come from: a server that answers any question, or a file that holds the answers to some.
// A cell of a notebook shows such a file in a frame.

import { question, type Name, type Questions } from "./answers";
import { decode, Wire } from "./wire";

/** A question that was not answered, and why, in words for the reader. */
export class Unanswered extends Error {
  constructor(
    readonly kind: string,
    text: string,
  ) {
    super(text);
  }
}

export interface Progress {
  kind: "progress";
  steps: number;
  epochs: number;
  cost: number | null;
  state: "running" | "paused" | "ended";
  said: string;
}

export type Command = { do: "pause" | "step" | "run" | "until"; step?: number };

export interface Source {
  readonly kind: "server" | "file";
  /** The steps that can be opened; null: all of them. */
  readonly steps: number[] | null;
  /** What was left out, in words. */
  readonly leftOut: string;
  readonly title: string;
  readonly notes: Record<string, string>;
  readonly live: boolean;
  ask<N extends Name>(name: N, params: Questions[N][0]): Promise<Questions[N][1]>;
  /** The answer, if it is at hand. */
  peek<N extends Name>(name: N, params: Questions[N][0]): Questions[N][1] | undefined;
  /** Hear how a training that still runs gets on; gives what ends the hearing. */
  subscribe(hear: (progress: Progress) => void): () => void;
  control(command: Command): Promise<void>;
  /** Forget what was answered for a run that has grown since. */
  forget(): void;
}

/** A few answers, the latest asked for at the end. */
class Answers {
  private readonly kept = new Map<string, unknown>();

  constructor(private readonly most: number) {}

  get(key: string): unknown {
    const found = this.kept.get(key);
    if (found !== undefined) {
      this.kept.delete(key);
      this.kept.set(key, found);
    }
    return found;
  }

  set(key: string, value: unknown): void {
    this.kept.set(key, value);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= this.most) break;
      this.kept.delete(oldest);
    }
  }

  forget(names: string[]): void {
    for (const key of [...this.kept.keys()]) {
      if (names.includes(key.split("?")[0] ?? "")) this.kept.delete(key);
    }
  }
}

/** What changes while a training goes on. */
const GROWING: Name[] = ["run", "log", "norms", "spread", "surface"];

export class ServerSource implements Source {
  readonly kind = "server";
  readonly steps = null;
  readonly leftOut = "";
  readonly title = "";
  readonly notes = {};
  private readonly answers = new Answers(200);
  private readonly asked = new Map<string, Promise<unknown>>();

  constructor(
    private readonly token: string,
    readonly live: boolean,
  ) {}

  peek<N extends Name>(name: N, params: Questions[N][0]): Questions[N][1] | undefined {
    return this.answers.get(question(name, params)) as Questions[N][1] | undefined;
  }

  async ask<N extends Name>(name: N, params: Questions[N][0]): Promise<Questions[N][1]> {
    const key = question(name, params);
    const known = this.answers.get(key) ?? this.asked.get(key);
    if (known !== undefined) return known as Questions[N][1];
    const answer = this.fetched(key);
    this.asked.set(key, answer);
    try {
      const found = await answer;
      this.answers.set(key, found);
      return found as Questions[N][1];
    } finally {
      this.asked.delete(key);
    }
  }

  private async fetched(key: string): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`/api/ask?q=${encodeURIComponent(key)}`, { headers: this.headers() });
    } catch {
      throw new Unanswered("Gone", "The server does not answer any more: the program that served this page has ended.");
    }
    if (!response.ok) throw await refusal(response);
    return decode(await response.arrayBuffer());
  }

  private headers(): Record<string, string> {
    return { "X-Pellucid-Token": this.token };
  }

  subscribe(hear: (progress: Progress) => void): () => void {
    let ended = false;
    let events: EventSource | null = null;
    let last = -1;
    const poll = async (): Promise<void> => {
      while (!ended) {
        try {
          const response = await fetch(`/api/poll?since=${last}`, { headers: this.headers() });
          if (!response.ok) throw await refusal(response);
          const progress = (await response.json()) as Progress;
          last = progress.steps;
          hear(progress);
          if (progress.state === "ended") return;
        } catch {
          hear({ kind: "progress", steps: last, epochs: 0, cost: null, state: "ended", said: "The server does not answer any more." });
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    };
    events = new EventSource(`/api/events?token=${encodeURIComponent(this.token)}`);
    events.onmessage = (event: MessageEvent<string>) => {
      const progress = JSON.parse(event.data) as Progress;
      last = progress.steps;
      hear(progress);
      if (progress.state === "ended") events?.close();
    };
    events.onerror = () => {
      // Events do not come through everywhere; then the page asks instead.
      events?.close();
      if (!ended) void poll();
    };
    return () => {
      ended = true;
      events?.close();
    };
  }

  async control(command: Command): Promise<void> {
    const response = await fetch("/api/control", {
      method: "POST",
      headers: { ...this.headers(), "Content-Type": "application/json" },
      body: JSON.stringify(command),
    });
    if (!response.ok) throw await refusal(response);
  }

  forget(): void {
    this.answers.forget(GROWING);
  }
}

async function refusal(response: Response): Promise<Unanswered> {
  try {
    const told = (await response.json()) as { error: { kind: string; text: string } };
    return new Unanswered(told.error.kind, told.error.text);
  } catch {
    const why = response.status === 403 ? "The address of this page lacks its token: open it as it was printed." : `The server says ${response.status}.`;
    return new Unanswered("Refused", why);
  }
}

interface FileFacts {
  steps: number[];
  left_out: string;
  title: string;
  notes: Record<string, string>;
}

export class FileSource implements Source {
  readonly kind = "file";
  readonly live = false;
  readonly steps: number[];
  readonly leftOut: string;
  readonly title: string;
  readonly notes: Record<string, string>;
  private readonly answers = new Answers(400);

  private constructor(
    facts: FileFacts,
    private readonly held: Wire,
  ) {
    this.steps = facts.steps;
    this.leftOut = facts.left_out;
    this.title = facts.title;
    this.notes = facts.notes;
  }

  /** Unpack the answers that a file holds. */
  static async of(facts: FileFacts, packed: string): Promise<FileSource> {
    const letters = atob(packed.trim());
    const given = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place++) given[place] = letters.charCodeAt(place);
    const plain = new Blob([given]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new FileSource(facts, new Wire(await new Response(plain).arrayBuffer()));
  }

  peek<N extends Name>(name: N, params: Questions[N][0]): Questions[N][1] | undefined {
    const key = question(name, params);
    const known = this.answers.get(key);
    if (known !== undefined) return known as Questions[N][1];
    const held = (this.held.head as Record<string, unknown>)[key];
    if (held === undefined) return undefined;
    const found = this.held.restored(held) as Questions[N][1];
    this.answers.set(key, found);
    return found;
  }

  async ask<N extends Name>(name: N, params: Questions[N][0]): Promise<Questions[N][1]> {
    const found = this.peek(name, params) as (Questions[N][1] & { error?: { kind: string; text: string } }) | undefined;
    if (found === undefined) throw new Unanswered("NotInThisFile", `This is not in the file. ${this.leftOut}`);
    if (found.error) throw new Unanswered(found.error.kind, found.error.text);
    return found;
  }

  subscribe(): () => void {
    return () => undefined;
  }

  async control(): Promise<void> {
    throw new Unanswered("NotLive", "A file cannot go on training.");
  }

  forget(): void {
    // A file does not change.
  }
}

/** The source that the page was given. */
export async function given(): Promise<Source> {
  const facts = JSON.parse(document.getElementById("pellucid-source")?.textContent ?? "{}") as
    | ({ kind: "file" } & FileFacts)
    | { kind: "server"; live: boolean };
  if (facts.kind === "server") {
    return new ServerSource(new URLSearchParams(location.hash.slice(1)).get("token") ?? "", facts.live);
  }
  if (facts.kind !== "file") throw new Unanswered("Empty", "This page was given no training to show.");
  const held = document.getElementById("pellucid-answers");
  const source = await FileSource.of(facts, held?.textContent ?? "");
  held?.remove();
  return source;
}
