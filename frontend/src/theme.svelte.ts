// Light or dark: as the system has it, until the reader chooses.

const system = matchMedia("(prefers-color-scheme: dark)");

class Theme {
  dark = $state(system.matches);
  private chosen = false;

  constructor() {
    this.shown(system.matches);
    system.addEventListener("change", () => {
      if (!this.chosen) this.shown(system.matches);
    });
  }

  /** Light becomes dark, and dark light. */
  turn(): void {
    this.chosen = true;
    this.shown(!this.dark);
  }

  /** The style changes first, so that whoever draws on hearing of it finds the new colours. */
  private shown(dark: boolean): void {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    this.dark = dark;
  }
}

export const theme = new Theme();
