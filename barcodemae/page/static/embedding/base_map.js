// Embeddings by the base map: the sum of one row per base and coordinate. As embedding/base_map.py.

export class BaseMapEmbedder {
  /**
   * @param {Float32Array} table `[4, coordinates, dimension]`, the rows of A at each coordinate, then of C, G and T.
   * @param {number} dimension of an embedding.
   * @param {number} k number of bases in a k-mer of the model.
   */
  constructor(table, dimension, k) {
    Object.assign(this, { table, dimension, k, numCoordinates: table.length / (4 * dimension) });
  }

  /**
   * The embedding, of length 1, of bases from the coordinate `first` up to, but not including, `end`; zeros if none is
   * known there.
   * @param {Int8Array} bases on the frame.
   */
  embedBases(bases, first = 0, end = bases.length) {
    const { table, dimension, numCoordinates } = this;
    const rows = [];
    for (let c = first; c < Math.min(end, numCoordinates); c++) {
      if (bases[c] >= 0) rows.push((bases[c] * numCoordinates + c) * dimension);
    }
    const numKnown = rows.length;
    const sums = new Float64Array(dimension);
    while (rows.length >= 4) {
      const [a, b, c, d] = [rows.pop(), rows.pop(), rows.pop(), rows.pop()];
      for (let i = 0; i < dimension; i++) sums[i] += table[a + i] + table[b + i] + (table[c + i] + table[d + i]);
    }
    for (const row of rows) for (let i = 0; i < dimension; i++) sums[i] += table[row + i];
    const vector = Float32Array.from(sums, (sum) => sum / (Math.max(numKnown, 1) / this.k));
    const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    return length > 0 ? vector.map((value) => value / length) : vector;
  }
}
