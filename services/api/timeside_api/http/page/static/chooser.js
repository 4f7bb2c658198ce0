/** Which processors to run: sensible ones are chosen already. */

import { h } from "./dom.js";
import { get } from "./session.js";
import { title } from "./words.js";

const USUAL = new Set([
  "waveform_analyzer",
  "spectrogram_analyzer",
  "level",
  "loudness_itu",
  "aubio_pitch",
  "onset_detection_function",
  "spectrogram_log",
]);
const KINDS = { analyzer: "Analyse", grapher: "Draw", encoder: "Transcode" };

/** A form; `run` is promised processors with parameters: those that are chosen, or those of an experience. */
export function chooser(processors, experiences, run) {
  const runnable = [...processors.values()].filter((each) => each.kind in KINDS && !each.parameters.required?.length);
  const offered = distinct(runnable);
  const boxes = offered.map((each) => h("input", { type: "checkbox", value: each.id, checked: USUAL.has(each.id) }));
  const button = h("button", { class: "main" }, "Run");
  const count = h("span", { class: "faint" });
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const counted = () => {
    const isFree = !experience.value;
    count.textContent = isFree ? `${chosen().length} processors chosen` : "";
    choice.hidden = !isFree;
    button.disabled = isFree && !chosen().length;
  };
  const group = (kind) =>
    h(
      "fieldset",
      {},
      h("legend", {}, KINDS[kind]),
      offered.map((each, index) =>
        each.kind === kind
          ? h("label", { class: "choice", title: each.description }, boxes[index], h("span", {}, title(each.id)))
          : null,
      ),
    );
  const experience = h(
    "select",
    { "aria-label": "What to run", hidden: !experiences.length },
    h("option", { value: "" }, "Chosen processors"),
    experiences.map((each) => h("option", { value: each.id }, each.title || "Untitled experience")),
  );
  const choice = h("details", {}, h("summary", {}, "Choose processors"), Object.keys(KINDS).map(group));
  const wanted = async () => {
    if (!experience.value) return chosen().map((processor) => ({ processor }));
    return (await get(`v1/experiences/${experience.value}/processors`)).items;
  };
  const submit = (event) => {
    event.preventDefault();
    run(wanted());
  };
  const form = h(
    "form",
    { class: "card chooser", "aria-label": "Processors", submit, change: counted },
    h("div", { class: "bar" }, h("h2", {}, "Analyse"), count, experience, button),
    choice,
  );
  counted();
  return form;
}

/** Without those that are there under another, shorter id as well. */
function distinct(processors) {
  const known = new Map();
  for (const each of processors) {
    const key = JSON.stringify([each.kind, each.description, each.parameters]);
    if (!(known.get(key)?.id.length <= each.id.length)) known.set(key, each);
  }
  return [...known.values()];
}
