/** Sign in; the first time with the one-time password, which only serves to set another. */

import { failure, h } from "./dom.js";
import { setPassword, signIn } from "./session.js";

const SHORTEST = 12;

export function signInPage(done) {
  const name = field("Name", { name: "name", autocomplete: "username", required: true, autocapitalize: "none" });
  const password = field("Password", { name: "password", type: "password", autocomplete: "current-password", required: true });
  return form("Sign in", [name, password], "Sign in", async () => {
    try {
      await signIn(value(name), value(password));
    } catch (problem) {
      if (problem.code !== "password-temporary") throw problem;
      return newPasswordPage(value(name), value(password), done);
    }
    return done();
  }, "The first account is admin; its one-time password was printed when TimeSide was first started.");
}

function newPasswordPage(name, password, done) {
  const rules = { type: "password", autocomplete: "new-password", minlength: SHORTEST, required: true };
  const [first, again] = [field(`New password, ${SHORTEST} characters or more`, rules), field("The same again", rules)];
  const kept = h("input", { type: "text", autocomplete: "username", value: name, readonly: true, hidden: true }); // for password managers
  return form("Set your password", [kept, first, again], "Set password", async () => {
    if (value(first) !== value(again)) throw new Error("The two are not the same.");
    await setPassword(name, password, value(first));
    return done();
  }, "The one-time password has served.");
}

function form(heading, fields, action, submitted, note) {
  const said = h("div");
  const button = h("button", { class: "main" }, action);
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const next = await submitted();
      if (next) page.replaceWith(next), next.querySelector("label input").focus();
    } catch (error) {
      said.replaceChildren(failure(error));
    } finally {
      button.disabled = false;
    }
  };
  const page = h("form", { class: "card narrow", submit }, h("h1", {}, heading), fields, said, button, h("p", { class: "faint" }, note));
  return page;
}

const field = (label, attributes) => h("label", {}, label, h("input", attributes));

const value = (label) => label.querySelector("input").value;
