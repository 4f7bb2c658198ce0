/** Elements in few words. */

/** An element; attributes that are functions listen to events, `class` and the rest are set. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((each) => each != null));
  return element;
}

/** Say something to those who listen to the page. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A box that tells what went wrong, in words. */
export function failure(error) {
  const said = error?.message ?? String(error);
  const text = said.charAt(0).toUpperCase() + said.slice(1);
  announce(text);
  return h("p", { class: "failure", role: "alert" }, text);
}

/** Have the browser save what an address leads to. */
export function save(url, name) {
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
