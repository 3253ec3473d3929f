// Notes on queries: faults of their sequences, and barcodes that do not distinguish species. As library/checking/notes.py,
// with reading_frame.py and chimeras.py.

const CODON = 3;

/**
 * Notes on a result, in words; "" where there is nothing to note.
 * @param {import("../identification.js").Result} result
 * @param {{call: string}} called from `callName`: the lineage down to this rank decides the genetic code.
 */
export function describeNotes(result, { call }) {
  if (result.reason) return "";
  const depth = Object.keys(result.best).indexOf(call) + 1;
  const numStops = result.stops[Math.min(depth, result.stops.length - 1)];
  const counts = [[numStops, "stop codon"], [result.shifts, "frame shift"]].filter(([count]) => count);
  const reading = counts.map(([count, what]) => `${count} ${what}${count > 1 ? "s" : ""}`).join(", ");
  return [...(reading ? [reading] : []), ...result.others].join("; ");
}

/**
 * The number of stop codons with the genetic codes of an unknown lineage, of the phylum, and of the phylum and class.
 * @param {Int8Array} bases on the frame.
 * @param {{begin: ?number, stops: Object<string, number[]>}} reading first coordinate of a codon, null for a marker that
 *   is not coding; and the stop codons by phylum and class.
 * @param {Object<string, {name: string}>} best names by rank.
 */
export function countStops(bases, { begin, stops }, best) {
  const phylum = best.phylum.name, keys = ["\t", `${phylum}\t`, `${phylum}\t${best.class.name}`];
  const counts = [0, 0, 0];
  if (begin === null) return counts;
  for (let c = begin; c + CODON <= bases.length; c += CODON) {
    if (bases[c] < 0 || bases[c + 1] < 0 || bases[c + 2] < 0) continue;
    const codon = 16 * bases[c] + 4 * bases[c + 1] + bases[c + 2];
    keys.forEach((key, i) => (counts[i] += (stops[key] ?? stops["\t"]).includes(codon)));
  }
  return counts;
}

/** Notes that do not depend on what is called: a possible chimera, and a barcode that several species share. */
export function describeOthers(neighbours, bases, numBases, library) {
  const { names } = library, notes = [];
  const parents = findChimera(neighbours, bases, numBases, library);
  if (parents) notes.push(`possible chimera of ${parents.map((record) => names.of(record, "genus")).join(" and ")}`);
  const shared = sharedBarcode(neighbours.slice(0, library.settings.num_voters), names);
  if (shared) notes.push(`nearest barcode shared by ${shared.join(", ")}`);
  return notes;
}

/** The species of the references whose bases are those of the best one, if they are several. */
function sharedBarcode(voters, names) {
  const [nearest] = voters, first = names.of(nearest.record, "species");
  if (!first) return null;
  const same = voters.filter((one) => one === nearest || one.among === 1).map(({ record }) => names.of(record, "species"));
  const species = [...new Set(same.filter(Boolean))];
  return species.length > 1 ? species : null;
}

/** The two parents, of different genera, of a probable chimera; null for any other barcode. */
function findChimera(neighbours, bases, numBases, library) {
  const { min_gain, min_identity, min_difference, min_part } = library.settings.chimera;
  const best = Math.max(...neighbours.map(({ identity }) => identity));
  if (numBases < 2 * min_part || best > Math.fround(1 - min_gain)) return null;
  const known = cumulated(bases.length, (c) => bases[c] >= 0);
  const counts = neighbours.map(({ record }) => {
    const reference = library.bases[record];
    const shared = cumulated(bases.length, (c) => bases[c] >= 0 && reference[c] >= 0);
    return { record, shared, equal: cumulated(bases.length, (c) => bases[c] >= 0 && bases[c] === reference[c]) };
  });
  // One half of a chimera is that of its nearest parent.
  const middle = known.findIndex((count) => 2 * count >= numBases), [{ equal, shared }] = counts, last = bases.length - 1;
  const first = equal[middle] / Math.max(shared[middle], 1);
  const second = (equal[last] - equal[middle]) / Math.max(shared[last] - shared[middle], 1);
  if (Math.max(first, second) < min_identity || Math.abs(first - second) < min_difference) return null;

  const genus = library.names.numbers.genus;
  let parents = null, highest = 0;
  for (const one of counts) {
    for (const other of counts) {
      if (genus[one.record] < 0 || genus[other.record] < 0 || genus[one.record] === genus[other.record]) continue;
      for (let c = 0; c <= last; c++) {
        const rest = other.shared[last] - other.shared[c];
        if (one.shared[c] < min_part || rest < min_part) continue;
        const identity = (one.equal[c] + other.equal[last] - other.equal[c]) / Math.max(one.shared[c] + rest, 1);
        if (identity > highest) [parents, highest] = [[one.record, other.record], identity];
      }
    }
  }
  return highest >= Math.max(min_identity, best + min_gain) ? parents : null;
}

/** The number of coordinates up to each, itself included, for which a condition is true. */
function cumulated(length, isTrue) {
  const counts = new Uint16Array(length);
  for (let c = 0, count = 0; c < length; c++) counts[c] = count += isTrue(c);
  return counts;
}
