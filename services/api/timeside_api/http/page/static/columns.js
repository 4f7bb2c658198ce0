/**
 * Framewise rows as columns of a picture: pooled while they arrive, or read from the levels of a result.
 *
 * Both give blocks `{ start_s, step_s, count, bins, low, high }`: column n has its centre at `start_s + n * step_s`, and
 * `low` and `high` are the smallest and the largest of the rows beneath it, NaN where there are none.
 */

import { request } from "./session.js";

const MOST_COLUMNS = 4096; // of what is live: more than a screen has, and bounded however long the sound is
const PAGE_ROWS = 1024;
const MOST_PAGES = 128;
const FACTORS = { summary: 4, min: 2, max: 2, rms: 2 }; // rows that one row of the next level stands for
const NUMBERS = { uint8: Uint8Array, float32: Float32Array, float64: Float64Array, int32: Int32Array, int16: Int16Array };

/** Rows that come in, pooled more and more coarsely as they become many. */
export class LiveColumns {
  constructor(clock) {
    Object.assign(this, { clock, rowsPerColumn: 1, next: 0, bins: 0 });
  }

  /** Take rows; those that came before are passed over. */
  add({ first, count, values }) {
    if (!this.bins) this.#begin(values.length / count);
    for (let row = Math.max(0, this.next - first); row < count; row++) {
      const place = this.#column(first + row) * this.bins;
      for (let bin = 0; bin < this.bins; bin++) this.#pool(place + bin, Number(values[row * this.bins + bin]));
    }
    this.next = Math.max(this.next, first + count);
  }

  blocks() {
    const { clock, bins, rowsPerColumn, next, low, high } = this;
    const rowStep = clock.hop_length / clock.samplerate;
    const count = Math.ceil(next / rowsPerColumn);
    const start_s = clock.start_s + (rowStep * (rowsPerColumn - 1)) / 2;
    return [{ start_s, step_s: rowStep * rowsPerColumn, count, bins, low, high }];
  }

  #begin(bins) {
    this.bins = bins;
    this.low = new Float32Array(MOST_COLUMNS * bins).fill(NaN);
    this.high = this.low.slice();
  }

  #column(row) {
    while (row >= MOST_COLUMNS * this.rowsPerColumn) this.#halve();
    return Math.floor(row / this.rowsPerColumn);
  }

  #pool(place, value) {
    if (Number.isNaN(value)) return;
    if (!(this.low[place] <= value)) this.low[place] = value;
    if (!(this.high[place] >= value)) this.high[place] = value;
  }

  #halve() {
    const { low, high, bins } = this;
    this.#begin(bins);
    this.rowsPerColumn *= 2;
    for (let column = 0; column < MOST_COLUMNS; column++) {
      for (let bin = 0; bin < bins; bin++) {
        const place = (column >> 1) * bins + bin;
        this.#pool(place, low[column * bins + bin]);
        this.#pool(place, high[column * bins + bin]);
      }
    }
  }
}

/** Rows of a result that is done, read at the level and in the span that are shown. */
export class StoredColumns {
  #pages = new Map();

  constructor(result, output) {
    Object.assign(this, { result, output });
    this.bins = output.row_shape.reduce((all, each) => all * each, 1);
    this.isTiled = output.pooling !== "summary";
    this.pageRows = this.isTiled && output.dtype === "uint8" ? PAGE_ROWS / 4 : PAGE_ROWS;
  }

  /** Those that a view of so many pixels needs. */
  async blocks(view, width) {
    const { clock } = this.result;
    const step = clock.hop_length / clock.samplerate;
    const factor = FACTORS[this.output.pooling];
    const finest = (view.stop - view.start) / step / width;
    const level = Math.min(this.output.levels, Math.max(0, Math.floor(Math.log(finest) / Math.log(factor))));
    const rows = Math.ceil(this.output.rows / factor ** level);
    const [step_s, start_s] = [step * factor ** level, clock.start_s + (step * (factor ** level - 1)) / 2];
    const page = (time) => Math.floor((time - start_s) / step_s / this.pageRows);
    const last = Math.min(page(view.stop + step_s), Math.ceil(rows / this.pageRows) - 1);
    const wanted = [];
    for (let index = Math.max(0, page(view.start - step_s)); index <= last; index++) wanted.push(this.#page(level, index));
    const pages = await Promise.all(wanted);
    return pages.map(({ index, ...block }) => ({ start_s: start_s + index * this.pageRows * step_s, step_s, ...block }));
  }

  #page(level, index) {
    const key = `${level}/${index}`;
    const page = this.#pages.get(key) ?? this.#read(level, index);
    this.#pages.delete(key);
    this.#pages.set(key, page); // the last one used is the last to go
    page.catch(() => this.#pages.delete(key));
    if (this.#pages.size > MOST_PAGES) this.#pages.delete(this.#pages.keys().next().value);
    return page;
  }

  async #read(level, index) {
    const { id } = this.result;
    const { name } = this.output;
    const start = index * this.pageRows;
    const path = this.isTiled
      ? `tiles/${name}/${level}/${index}`
      : `data/${name}?format=raw&level=${level}&start=${start}&stop=${start + this.pageRows}`;
    const answer = await request(`v1/results/${id}/${path}`);
    const values = new NUMBERS[answer.headers.get("TimeSide-Dtype")](await answer.arrayBuffer());
    const { bins } = this;
    if (this.isTiled || level === 0) {
      const count = this.isTiled ? Number(answer.headers.get("TimeSide-Rows")) : values.length / bins;
      return { index, count, bins, low: values, high: values };
    }
    const part = (offset) => Float32Array.from({ length: values.length / 3 }, (_, place) => values[3 * place + offset]);
    return { index, count: values.length / 3 / bins, bins, low: part(0), high: part(1) };
  }
}
