// What several parts of the page are made of: ages, states, and buttons for actions.

import { clock, el, say, span } from "/dom.js";

const WORDS = { approve: "Approve", reject: "Reject", retry: "Retry", pause: "Pause", resume: "Resume" };
const SURE = {
  approve: "What is held is announced, to every sink that wants it. That cannot be taken back.",
  reject: "What is held is not announced, now or later. That cannot be taken back.",
};
let now = 0; // by the poller's clock
let acting = false;

// From here on all that is shown is of this state.
export function begin(state) {
  now = Date.parse(state.now);
  acting = state.session.actions;
}

export const age = (time) => span((now - Date.parse(time)) / 1000);

export const ago = (time) => (time ? `${age(time)} ago` : "never");

export function stamp(node, time, words = ago(time)) {
  say(node, words);
  node.dateTime = time ?? "";
  node.title = time ? clock(time) : "";
}

export const until = (time) => {
  const wait_s = (Date.parse(time) - now) / 1000;
  return wait_s > 1 ? `in ${span(wait_s)}` : "now";
};

// A button for an action on `target`; `what` names that for who does not see where the button stands.
export function button(action) {
  return el("button", { type: "button", "data-action": action, "data-sure": SURE[action] }, WORDS[action]);
}

export function aim(node, target, what) {
  node.hidden = !acting;
  node.target = target;
  node.what = what;
  node.setAttribute("aria-label", `${node.textContent}: ${what}`);
}

export const pill = () => el("span", { class: "pill" });

export function fillPill(node, state) {
  say(node, state);
  node.dataset.state = state;
}
