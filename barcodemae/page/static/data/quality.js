// As `normalise_nucleotides` of data/quality.py.

/** A sequence in upper case, with T for U, without gaps, white space and Ns at its ends. */
export function normaliseNucleotides(nucleotides) {
  return nucleotides
    .replace(/[a-z]/g, (character) => character.toUpperCase())
    .replaceAll("U", "T")
    .replace(/[-.\t\n\f\r ]+/g, "")
    .replace(/^N+|N+$/g, "");
}

/** Whether a sequence has amino acids that are not codes of nucleotides either. */
export const looksLikeProtein = (nucleotides) => (nucleotides.match(/[EFILPQZ]/gi)?.length ?? 0) > nucleotides.length / 20;
