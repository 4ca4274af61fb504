// The status page: asks for the state every two seconds, shows it, and has done what its buttons say.

import { find, say, span } from "/dom.js";
import { draw, show } from "/view.js";

const EVERY_S = 2;
const LONGEST_S = 30;
const ANSWER_S = 10;

let state = null; // what was last shown
let heard = 0; // when, by this machine's clock
let wait_s = EVERY_S;
let timer = 0;
let asking = null;
let afterwards = null; // an action that waits for its token

// Asking

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const query = new URLSearchParams({ hours: hours(), search: find("search").value });
  try {
    const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(ANSWER_S * 1000)]);
    const answer = await fetch(`/status.json?${query}`, { signal, cache: "no-store" });
    if (answer.status === 401) return locked();
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    state = await answer.json();
    heard = Date.now();
    wait_s = EVERY_S;
    reached();
  } catch (error) {
    if (mine.signal.aborted) return;
    wait_s = Math.min(LONGEST_S, wait_s * 2);
    lost();
  }
  timer = setTimeout(ask, (document.hidden ? Math.max(LONGEST_S, wait_s) : wait_s) * 1000);
}

const hours = () => document.querySelector("#hours input:checked").value;

function reached() {
  document.documentElement.dataset.contact = "live";
  say(find("contact-text"), "Live");
  find("main").hidden = false;
  find("sign").hidden = !state.session.token || (!state.session.actions && !state.session.signed_in);
  say(find("sign"), state.session.signed_in ? "Sign out" : "Sign in");
  show(state);
}

function lost() {
  const known = document.documentElement.dataset.contact;
  document.documentElement.dataset.contact = "lost";
  const since = heard ? `Lost contact ${span((Date.now() - heard) / 1000)} ago` : "No contact";
  say(find("contact-text"), `${since}; trying again`);
  if (known !== "lost") announce("Lost contact with poller. What is shown is old.");
}

function locked() {
  document.documentElement.dataset.contact = "locked";
  say(find("contact-text"), "Locked");
  find("sign").hidden = false;
  say(find("sign"), "Sign in");
  if (!find("sign-dialog").open) find("sign-dialog").showModal();
}

export function announce(words) {
  say(find("announce"), words);
}

// Acting

async function post(path, body, type) {
  const headers = { "Content-Type": type, "X-Poller-Proof": state?.session.proof ?? "" };
  return fetch(path, { method: "POST", headers, body, redirect: "manual" });
}

async function act(name, target) {
  const answer = await post(`/actions/${name}`, JSON.stringify(target), "application/json").catch(() => null);
  if (answer?.status === 401) return sign(() => act(name, target));
  const told = await answer?.json().catch(() => ({}));
  toast(told?.done ?? told?.error ?? `That was refused (${answer?.status ?? "no contact"}).`);
  ask();
}

let toasting = 0;
function toast(words) {
  const node = find("toast");
  say(node, words);
  node.dataset.shown = "";
  clearTimeout(toasting);
  toasting = setTimeout(() => delete node.dataset.shown, 8000);
}

function sign(then) {
  afterwards = then;
  say(find("sign-error"), "");
  find("sign-dialog").showModal();
}

find("sign-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams({ token: find("token").value });
  const answer = await post("/sign-in", body, "application/x-www-form-urlencoded").catch(() => null);
  if (answer?.type !== "opaqueredirect") {
    say(find("sign-error"), (await answer?.text()) ?? "No contact; try again.");
    find("token").select();
    return;
  }
  find("token").value = "";
  find("sign-dialog").close();
  await ask();
  afterwards?.();
  afterwards = null;
});

find("sign").addEventListener("click", async () => {
  if (!state?.session.signed_in) return sign(null);
  await post("/sign-out", "", "text/plain").catch(() => null);
  toast("Signed out.");
  ask();
});

// What a button with data-action is to do stands in its row; what cannot be undone is asked about.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  const { action, sure } = button.dataset;
  const go = () => (state.session.signed_in ? act(action, button.target) : sign(() => act(action, button.target)));
  if (!sure) return go();
  say(find("sure-title"), `${button.textContent}: ${button.what}`);
  say(find("sure-text"), sure);
  say(find("sure-yes"), button.textContent);
  find("sure-dialog").returnValue = "";
  find("sure-dialog").onclose = (closed) => closed.target.returnValue === "yes" && go();
  find("sure-dialog").showModal();
});

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

// Looking

let typing = 0;
find("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(ask, 200);
});
find("hours").addEventListener("change", ask);
document.addEventListener("visibilitychange", () => document.hidden || ask());
new ResizeObserver(() => state && draw(state)).observe(find("events-plot"));
setInterval(() => document.documentElement.dataset.contact === "lost" && lost(), 1000);
ask();
