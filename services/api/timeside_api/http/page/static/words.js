/** Numbers and names in words. */

const ACRONYMS = /\b(aac|cqt|csv|dc|flac|hpss|jams|json|itu|mfcc|mp3|pyin|rms|wav)\b/g;

/** 75.25 → "1:15.2"; with hours where there are some. */
export function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const units = Math.floor(Math.max(0, seconds) * scale + 1e-6);
  const whole = Math.floor(units / scale);
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  const text = parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  return digits ? `${text}.${String(units % scale).padStart(digits, "0")}` : text;
}

/** 1536 → "1.5 KiB". */
export function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${power ? (count / 1024 ** power).toFixed(1) : count} ${units[power]}`;
}

/** A number with as many digits as one reads. */
export function number(value, unit = "") {
  if (value == null || Number.isNaN(value)) return "–";
  const text = Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : Number(value.toPrecision(4));
  return unit ? `${text} ${unit}` : String(text);
}

/** "spectral_centroid" → "Spectral centroid"; "loudness_itu" → "Loudness ITU". */
export function title(id) {
  const words = id.replaceAll("_", " ").trim().replace(ACRONYMS, (word) => word.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a media is, in a line. */
export function facts(media) {
  if (!media) return "no sound yet";
  const channels = { 1: "mono", 2: "stereo" }[media.channels] ?? `${media.channels} channels`;
  const known = media.samplerate
    ? [clock(media.duration_s ?? 0, 0), `${media.samplerate / 1000} kHz`, channels, media.codec]
    : [];
  return [...known, bytes(media.size)].filter(Boolean).join(" · ");
}
