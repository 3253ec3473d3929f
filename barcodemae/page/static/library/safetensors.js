// Reads tensors of the format safetensors: the length of a JSON header, the header, and the values.

/** @returns {Object<string, {shape: number[], values: Float32Array | Uint8Array}>} half precision as single. */
export function readSafetensors(buffer) {
  const view = new DataView(buffer);
  const begin = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, begin - 8)));
  return Object.fromEntries(
    Object.entries(header).map(([name, { dtype, shape, data_offsets: [from, to] }]) => {
      const read = READERS[dtype];
      if (!read) throw new Error(`${name}: expected ${Object.keys(READERS).join(", ")}, got ${dtype}`);
      return [name, { shape, values: read(buffer.slice(begin + from, begin + to)) }];
    }),
  );
}

const READERS = {
  F32: (bytes) => new Float32Array(bytes),
  F16: (bytes) => asSingle(new Uint16Array(bytes)),
  U8: (bytes) => new Uint8Array(bytes),
};

function asSingle(halves) {
  const table = Float32Array.from({ length: 1 << 16 }, (_, bits) => fromHalf(bits));
  const singles = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) singles[i] = table[halves[i]];
  return singles;
}

/** A number of IEEE 754 half precision from its 16 bits. */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
