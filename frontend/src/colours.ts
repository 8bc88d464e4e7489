// Colours for numbers: blue above, orange below, as everywhere on the page.

export type Colour = [number, number, number];
/** The colours of several classes, by their names in the page's style. */
export const OWN = ["--orange", "--blue", "--green", "--purple", "--yellow", "--sky"];

/** A colour of the page's style, as numbers. */
export function colour(box: Element, name: string): Colour {
  const text = getComputedStyle(box).getPropertyValue(name).trim();
  const given = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text)?.[1] ?? "888888";
  const digits = given.length === 3 ? [...given].map((each) => each + each).join("") : given;
  return [0, 2, 4].map((place) => parseInt(digits.slice(place, place + 2), 16)) as Colour;
}

export function mixed(one: Colour, other: Colour, part: number): Colour {
  const share = Math.min(1, Math.max(0, part));
  return one.map((each, place) => each + ((other[place] ?? 0) - each) * share) as Colour;
}

export function css(given: Colour): string {
  return `rgb(${given.map(Math.round).join(" ")})`;
}

/** From orange at -1 over the paper at 0 to blue at 1. */
export function aroundZero(box: Element): (part: number) => Colour {
  const [below, paper, above] = [colour(box, "--orange"), colour(box, "--paper"), colour(box, "--blue")];
  return (part) => mixed(paper, part < 0 ? below : above, Math.abs(part));
}

/** Draw numbers as the cells of a picture, row by row from the top, one pixel each. */
export function painted(canvas: HTMLCanvasElement, rows: number, columns: number, at: (row: number, column: number) => Colour): void {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const place = 4 * (row * columns + column);
      const [red, green, blue] = at(row, column);
      image.data[place] = red;
      image.data[place + 1] = green;
      image.data[place + 2] = blue;
      image.data[place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
