/** Which page is shown: by whether somebody is signed in, and by the hash of the address. */

import { failure, h } from "./dom.js";
import { itemPage } from "./item.js";
import { itemsPage } from "./items.js";
import { get, resume, signOut } from "./session.js";
import { signInPage } from "./signin.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let processors = null;
let showing = new AbortController();

async function show() {
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  const [, item] = location.hash.match(/^#\/items\/([0-9a-f-]{36})$/) ?? [];
  try {
    processors ??= new Map((await get("v1/processors")).items.map((each) => [each.id, each]));
    const page = item ? await itemPage(item, processors, signal) : itemsPage();
    if (!signal.aborted) main.replaceChildren(page);
  } catch (error) {
    if (!signal.aborted) main.replaceChildren(failure(error), h("p", {}, h("a", { href: "#/" }, "All recordings")));
  }
  main.focus({ preventScroll: true });
}

async function signedIn() {
  const { name } = await get("v1/me");
  const leave = () => signOut().catch(() => {});
  nav.replaceChildren(
    h("a", { href: "docs" }, "API"),
    h("span", { class: "faint" }, name),
    h("button", { type: "button", class: "quiet", click: leave }, "Sign out"),
  );
  addEventListener("hashchange", show);
  await show();
}

function signedOut() {
  removeEventListener("hashchange", show);
  showing.abort();
  nav.replaceChildren();
  main.replaceChildren(signInPage(signedIn));
  main.querySelector("input").focus();
}

addEventListener("signedout", signedOut);
if (await resume().catch(() => false)) await signedIn().catch((error) => main.replaceChildren(failure(error)));
else signedOut();
