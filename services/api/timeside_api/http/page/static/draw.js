/** Pictures on canvases. A view is `{ start, stop }` in seconds; blocks are those of `columns.js`. */

/** A canvas' context, with as many pixels as the screen has for it, cleared. */
export function prepared(canvas) {
  const ratio = devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return context;
}

/** A colour of the style sheet, as it is for an element. */
export const colour = (element, name) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();

/** Peaks, and the RMS within them; one strip for each of up to two channels, else one for all. */
export function waveform(context, view, blocks) {
  const { width, height } = context.canvas;
  const bins = blocks[0]?.bins ?? 1;
  const strips = bins <= 2 ? bins : 1;
  for (let strip = 0; strip < strips; strip++) {
    const of = strips === bins ? [strip] : [...Array(bins).keys()];
    const middle = ((strip + 0.5) * height) / strips;
    const scale = (height / strips / 2) * 0.96;
    const { low, high, rms } = pixels(view, blocks, width, of);
    context.fillStyle = colour(context.canvas, "wave");
    columns(context, low, high, (value) => middle - scale * value);
    context.fillStyle = colour(context.canvas, "wave-body");
    columns(context, rms.map((value) => -value), rms, (value) => middle - scale * value);
  }
}

/** Lines over time, one for each column of a row; gives the range that is shown: of `depth` at most, from the top. */
export function curve(context, view, blocks, depth = Infinity, pad = 0.08) {
  const { width, height } = context.canvas;
  const bins = blocks[0]?.bins ?? 1;
  const lines = Array.from({ length: bins }, (_, bin) => pixels(view, blocks, width, [bin]));
  const range = extent(lines.flatMap(({ low, high }) => [low, high]));
  range.low = Math.max(range.low, range.high - depth);
  const spread = range.high - range.low || 1;
  const y = (value) => height * (1 - pad - ((1 - 2 * pad) * (Math.max(value, range.low) - range.low)) / spread);
  lines.forEach(({ low, high }, bin) => {
    context.fillStyle = colour(context.canvas, `line-${bin % 4}`);
    columns(context, low, high, y, 1.5 * devicePixelRatio);
  });
  return range;
}

/** Rows of many columns as a picture, the first at the bottom; `range` is what the darkest and the brightest stand for. */
export function heat(context, view, blocks, range = heatRange(blocks)) {
  const { width, height } = context.canvas;
  const scale = 255 / (range.high - range.low || 1);
  context.imageSmoothingQuality = "high";
  for (const { start_s, step_s, count, bins, high } of blocks) {
    if (!count) continue;
    const picture = new ImageData(count, bins);
    const points = new Uint32Array(picture.data.buffer);
    for (let column = 0; column < count; column++) {
      for (let bin = 0; bin < bins; bin++) {
        const value = high[column * bins + bin];
        const step = Math.max(0, Math.min(255, Math.round((value - range.low) * scale)));
        if (value === value) points[(bins - 1 - bin) * count + column] = PALETTE[step];
      }
    }
    const sheet = new OffscreenCanvas(count, bins);
    sheet.getContext("2d").putImageData(picture, 0, 0);
    const left = place(view, start_s - step_s / 2, width);
    context.drawImage(sheet, left, 0, (count * step_s * width) / (view.stop - view.start), height);
  }
  return range;
}

/** Instants, or intervals, with their labels where there is room. */
export function marks(context, view, { times, durations, values }, labels) {
  const { width, height } = context.canvas;
  const ratio = devicePixelRatio;
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  let free = -Infinity;
  times.forEach((time, index) => {
    const left = place(view, time, width);
    const extentOf = durations ? (durations[index] * width) / (view.stop - view.start) : 0;
    if (left + extentOf < 0 || left > width) return;
    context.fillStyle = colour(context.canvas, `line-${(labels.length ? values[index] : index) % 4}`);
    context.globalAlpha = durations ? 0.35 : 1;
    context.fillRect(left, 0, Math.max(1.5 * ratio, extentOf - ratio), height);
    context.globalAlpha = 1;
    const text = labels.length > 1 ? (labels[values[index]] ?? "") : "";
    const needed = context.measureText(text).width + 10 * ratio;
    if (!text || left < free || (durations && needed > extentOf)) return;
    context.fillStyle = colour(context.canvas, "ink");
    context.fillText(text, left + 5 * ratio, height / 2);
    free = left + needed;
  });
}

/** Times along an axis. */
export function ruler(context, view, text) {
  const { width, height } = context.canvas;
  const ratio = devicePixelRatio;
  const least = ((view.stop - view.start) / width) * 90 * ratio;
  const step = STEPS.find((each) => each >= least) ?? 3600 * Math.ceil(least / 3600);
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.fillStyle = context.strokeStyle = colour(context.canvas, "faint");
  for (let time = Math.ceil(view.start / step) * step; time <= view.stop; time += step) {
    const x = place(view, time, width);
    context.fillRect(x, height * 0.6, ratio, height * 0.4);
    if (x < width - 40 * ratio) context.fillText(text(time, step < 1 ? 2 : 0), x + 4 * ratio, height * 0.75);
  }
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

const SAMPLED = 10_007; // values that the range of a picture is estimated from; prime, to meet all bins

const place = (view, time, width) => ((time - view.start) / (view.stop - view.start)) * width;

/** Smallest and largest value above each pixel, over some of the columns of each row. */
function pixels(view, blocks, width, bins) {
  const found = { low: new Float32Array(width).fill(NaN), high: new Float32Array(width).fill(NaN), rms: new Float32Array(width).fill(NaN) };
  for (const block of blocks) {
    const wide = (block.step_s * width) / (view.stop - view.start);
    const left = place(view, block.start_s - block.step_s / 2, width);
    const first = Math.max(0, Math.floor(-left / wide));
    for (let column = first; column < block.count && left + column * wide < width; column++) {
      const from = Math.max(0, Math.floor(left + column * wide));
      const to = Math.min(width, Math.max(from + 1, Math.floor(left + (column + 1) * wide)));
      for (const bin of bins) spread(found, block, column * block.bins + bin, from, to);
    }
  }
  return found;
}

function spread(found, block, index, from, to) {
  const [low, high, rms] = [block.low[index], block.high[index], block.rms?.[index]];
  for (let x = from; x < to; x++) {
    if (!(found.low[x] <= low) && low === low) found.low[x] = low;
    if (!(found.high[x] >= high) && high === high) found.high[x] = high;
    if (!(found.rms[x] >= rms) && rms === rms) found.rms[x] = rms;
  }
}

/** A bar at each pixel, which reaches the bar before it, so that a line has no holes. */
function columns(context, low, high, y, thick = devicePixelRatio) {
  context.beginPath();
  for (let x = 0; x < low.length; x++) {
    if (Number.isNaN(low[x])) continue;
    let [top, bottom] = [y(high[x]), y(low[x])];
    if (x && !Number.isNaN(low[x - 1])) {
      top = Math.min(top, y(low[x - 1]));
      bottom = Math.max(bottom, y(high[x - 1]));
    }
    context.rect(x, top - thick / 2, 1, bottom - top + thick);
  }
  context.fill();
}

function extent(arrays) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of arrays) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? { low, high } : { low: NaN, high: NaN };
}

/** All but the most extreme values: one large coefficient would leave no light for the others. */
function heatRange(blocks) {
  const all = blocks.reduce((sum, { count, bins }) => sum + count * bins, 0);
  const every = Math.max(1, Math.floor(all / SAMPLED));
  const values = blocks.flatMap(({ count, bins, high }) =>
    Array.from({ length: Math.floor((count * bins) / every) }, (_, index) => high[index * every]),
  );
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const at = (share) => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
  return { low: at(0.05), high: at(0.95) };
}

/** From dark to bright with ever more light, so that it reads in grey as well: stops of position, red, green, blue. */
const PALETTE = palette([
  [0, 8, 8, 20],
  [0.25, 52, 22, 92],
  [0.5, 148, 38, 104],
  [0.75, 236, 106, 66],
  [0.9, 252, 190, 92],
  [1, 252, 250, 200],
]);

function palette(stops) {
  return Uint32Array.from({ length: 256 }, (_, step) => {
    const position = step / 255;
    const above = Math.max(1, stops.findIndex(([at]) => at >= position));
    const [from, to] = [stops[above - 1], stops[above]];
    const share = (position - from[0]) / (to[0] - from[0]);
    const [red, green, blue] = [1, 2, 3].map((part) => Math.round(from[part] + share * (to[part] - from[part])));
    return (255 << 24) | (blue << 16) | (green << 8) | red; // as bytes lie in memory
  });
}
