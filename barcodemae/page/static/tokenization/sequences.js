// DNA text as codes: 0 to 3 for A, C, G and T, -1 for any other character. As tokenization/sequences.py.

export const UNKNOWN = -1;

const REMOVED = -2;
const CODES = new Int8Array(128).fill(UNKNOWN);
for (const [code, characters] of ["Aa", "Cc", "Gg", "TtUu"].entries()) {
  for (const character of characters) CODES[character.charCodeAt(0)] = code;
}
for (const character of "-. \t\n\v\f\r") CODES[character.charCodeAt(0)] = REMOVED;

/** The codes of a sequence, Int8Array, without gaps and white space. */
export function baseCodes(text) {
  const codes = new Int8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    const code = character < 128 ? CODES[character] : UNKNOWN;
    if (code !== REMOVED) codes[length++] = code;
  }
  return codes.subarray(0, length);
}

/** The codes of the other strand, 5' to 3'. */
export function reverseComplement(codes) {
  const n = codes.length;
  const other = new Int8Array(n);
  for (let i = 0; i < n; i++) other[n - 1 - i] = codes[i] < 0 ? UNKNOWN : 3 - codes[i];
  return other;
}
