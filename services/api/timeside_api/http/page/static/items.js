/** All items: a list by pages, search, and files that are dropped in. */

import { announce, failure, h } from "./dom.js";
import { get, post, request, upload } from "./session.js";
import { facts } from "./words.js";

const PAGE = 50;
const TYPING_MS = 250;

export function itemsPage() {
  const list = h("ul", { class: "items" });
  const more = h("button", { type: "button", hidden: true, click: () => load() }, "More");
  const said = h("div");
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search items", input: searched });
  let cursor = null;
  let asking = 0;
  let timer;

  async function load() {
    const asked = ++asking;
    const query = new URLSearchParams({ limit: PAGE, ...(search.value && { q: search.value }), ...(cursor && { cursor }) });
    try {
      const page = await get(`v1/items?${query}`);
      if (asked !== asking) return;
      if (!cursor) list.replaceChildren();
      list.append(...page.items.map(entry));
      cursor = page.next_cursor;
      more.hidden = !cursor;
      said.replaceChildren(...(list.children.length ? [] : [h("p", { class: "faint" }, search.value ? "Nothing found." : "Nothing here yet.")]));
    } catch (error) {
      said.replaceChildren(failure(error));
    }
  }

  function searched() {
    clearTimeout(timer);
    timer = setTimeout(() => ((cursor = null), load()), TYPING_MS);
  }

  load();
  return h(
    "div",
    {},
    dropZone((item) => (location.hash = `#/items/${item.id}`)),
    h("div", { class: "bar" }, h("h1", {}, "Recordings"), search),
    said,
    list,
    more,
  );
}

function entry(item) {
  const line = [item.artist, facts(item.media)].filter(Boolean).join(" · ");
  return h("li", {}, h("a", { href: `#/items/${item.id}` }, h("b", {}, item.title || "Untitled"), h("span", { class: "faint" }, line)));
}

/** Takes files that are dropped on the page, or chosen; `done` is told the item where there was but one. */
function dropZone(done) {
  const input = h("input", { type: "file", multiple: true, class: "unseen", change: () => take(input.files) });
  const uploads = h("ul", { class: "uploads" });
  const zone = h(
    "section",
    { class: "drop", "aria-label": "Upload" },
    h("p", {}, h("b", {}, "Drop audio or video files here"), h("span", { class: "faint" }, " in any format")),
    h("label", { class: "button" }, "Choose files", input),
    uploads,
  );
  const over = (is) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", is);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    take(event.dataTransfer.files);
  });

  async function take(list) {
    const files = [...list]; // which empties itself with its input
    const made = [];
    for (const file of files) {
      try {
        made.push(await send(file, uploads));
      } catch {
        // it is said where its progress was
      }
    }
    input.value = "";
    if (made.length === 1 && files.length === 1) done(made[0]);
    else if (made.length) dispatchEvent(new Event("hashchange")); // show the list anew
  }

  return zone;
}

async function send(file, uploads) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
  const line = h("li", {}, h("span", {}, file.name), bar);
  uploads.append(line);
  try {
    const item = await post("v1/items", { title: file.name.replace(/\.[^.]+$/, "") });
    try {
      const uploaded = await upload(`v1/items/${item.id}/media`, file, (share) => (bar.value = share));
      announce(`${file.name} is uploaded.`);
      line.remove();
      return uploaded;
    } catch (error) {
      await remove(item.id); // an item without its sound is of no use
      throw error;
    }
  } catch (error) {
    bar.replaceWith(failure(error));
    throw error;
  }
}

const remove = (id) => request(`v1/items/${id}`, { method: "DELETE" }).catch(() => {});
