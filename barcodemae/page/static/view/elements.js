// Elements of the page. Text from files is only ever set as text, never as HTML.

/** An element with properties (`class`, attributes, `on...` handlers) and children, elements or texts. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** A number with separators of thousands. */
export const count = (number) => number.toLocaleString("en");

/** A number of things, such as "1 sequence" or "2,000 sequences". */
export const some = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A share in percent, without a false 0 or 100. */
export function percent(share, digits = 1) {
  const smallest = 10 ** -digits;
  const value = 100 * share;
  if (value > 0 && value < smallest) return `< ${smallest} %`;
  if (value < 100 && value > 100 - smallest) return `> ${100 - smallest} %`;
  return `${value.toFixed(digits)} %`;
}

/** A name of a taxon; genera and species are in italics. */
export function taxon(name, rank) {
  return element(rank === "genus" || rank === "species" ? "i" : "span", {}, name);
}
