// Answers that come later: what a panel asks whenever the cursor moves.

import type { Name, Questions } from "./answers";
import type { Source } from "./source";

/** The answer to a question that changes; the old one stays until the new one is there. */
export class Asked<N extends Name> {
  answer = $state.raw<Questions[N][1] | null>(null);
  error = $state("");
  waiting = $state(false);

  /**
   * @param params what is asked; null asks nothing.
   * @param rest how long the cursor must rest before something that is not at hand is asked.
   */
  constructor(source: Source, name: N, params: () => Questions[N][0] | null, rest = 60) {
    $effect(() => {
      const given = params();
      if (given === null) {
        this.answer = null;
        this.error = "";
        return undefined;
      }
      const known = source.peek(name, given);
      if (known !== undefined && !("error" in (known as object))) {
        this.answer = known;
        this.error = "";
        this.waiting = false;
        return undefined;
      }
      let gone = false;
      this.waiting = true;
      const timer = setTimeout(() => {
        source
          .ask(name, given)
          .then((found) => {
            if (gone) return;
            this.answer = found;
            this.error = "";
          })
          .catch((why: unknown) => {
            if (gone) return;
            this.answer = null;
            this.error = why instanceof Error ? why.message : String(why);
          })
          .finally(() => {
            if (!gone) this.waiting = false;
          });
      }, rest);
      return () => {
        gone = true;
        clearTimeout(timer);
      };
    });
  }
}
