// The lists of the page: sinks, streams, events, dead letters, quarantined records.

import { el, find, keyed, number, plural, say, table } from "/dom.js";
import { age, ago, aim, button, fillPill, pill, stamp, until } from "/parts.js";

const KINDS = ["created", "updated", "deleted"];

export function sinks(state) {
  document.querySelector("[aria-labelledby=sinks-title] .none").hidden = state.sinks.length > 0;
  keyed(find("sinks"), state.sinks, (row) => row.sink, newSink, (item, row) => {
    fillPill(item.querySelector(".pill"), row.state);
    const [pending, parked, delivered, oldest] = item.querySelectorAll("dd");
    say(pending, number(row.pending));
    say(parked, number(row.parked));
    say(delivered, number(row.delivered));
    say(oldest, row.oldest_pending ? age(row.oldest_pending) : "–");
    const error = row.error && row.next_try ? `${row.error}. Tried again ${until(row.next_try)}.` : row.error;
    say(item.querySelector(".error"), error);
    const [pause, resume] = item.querySelectorAll("button");
    aim(pause, { name: row.sink }, `sink ${row.sink}`);
    aim(resume, { name: row.sink }, `sink ${row.sink}`);
    pause.hidden ||= row.state === "paused";
    resume.hidden ||= row.state === "ok";
  });
}

function newSink({ sink }) {
  const figures = ["Waiting", "Dead", "Delivered", "Oldest"].map((name) => el("div", {}, el("dt", {}, name), el("dd")));
  return el(
    "li",
    {},
    el("div", { class: "head" }, el("h3", {}, sink), pill()),
    el("dl", {}, ...figures),
    el("p", { class: "error" }),
    el("div", { class: "latency" }),
    el("p", { class: "small" }),
    el("div", { class: "buttons" }, button("pause"), button("resume")),
  );
}

const RESOURCES = [
  { label: "Resource", kind: "name", text: (row) => row.resource },
  { label: "Streams", kind: "number", text: (row) => number(row.streams) },
  { label: "Records", kind: "number", text: (row) => number(row.records) },
  { label: "Oldest poll", kind: "number", text: (row) => ago(row.polled) },
  { label: "State", make: () => el("span", { class: "pills" }), fill: (node, row) => fillStates(node, row.states, row.late) },
];

function fillStates(node, states, late) {
  const rows = [...Object.entries(states), ...(late ? [["late", late]] : [])];
  keyed(node, rows, ([name]) => name, pill, (child, [name, count]) => {
    fillPill(child, name);
    say(child, rows.length > 1 || name !== "following" ? `${number(count)} ${name}` : name);
  });
}

const STREAMS = [
  { label: "Stream", kind: "name", text: (row) => row.stream.split("/")[1] },
  { label: "State", make: pill, fill: (node, row) => fillPill(node, row.state) },
  { label: "Records", kind: "number", text: (row) => number(row.records) },
  { label: "Polled", kind: "number", make: () => el("time"), fill: (node, row) => stamp(node, row.polled) },
  { label: "Next poll", kind: "number", make: () => el("time"), fill: (node, row) => stamp(node, row.next_poll, row.next_poll ? until(row.next_poll) : "–") },
  { label: "Error", kind: "error", text: (row) => row.error },
  {
    label: "Action",
    kind: "action",
    make: () => el("span", {}, button("pause"), button("resume")),
    fill: (node, row) => {
      for (const child of node.children) aim(child, { name: row.stream }, row.stream);
      node.children[0].hidden ||= row.state === "paused";
      node.children[1].hidden ||= !["paused", "suspended", "failing"].includes(row.state);
    },
  },
];

export function streams(state) {
  const { summary } = state;
  table(find("resources"), "Streams by resource", RESOURCES, summary.resources, (row) => row.resource);
  find("resources").hidden = summary.streams === summary.resources.length;
  const searched = find("search").value.trim();
  const shown = state.streams.length;
  const words = searched
    ? `${plural(shown, "stream matches", "streams match")} “${searched}”${shown >= 200 ? "; those after the first 200 are not shown" : ""}.`
    : shown === summary.streams
      ? ""
      : shown
        ? `Those in trouble, ${number(shown)} of ${number(summary.streams)}; search for others.`
        : `None of ${number(summary.streams)} is in trouble. Search to see one.`;
  say(find("streams-shown"), words);
  const groups = Map.groupBy(state.streams, (row) => row.stream.split("/")[0]);
  keyed(find("streams"), [...groups], ([org]) => org, (row) => newGroup(row, groups.size), (item, [org, rows]) => {
    const trouble = rows.filter((row) => row.state !== "following").length;
    say(item.querySelector(".pill"), trouble ? `${trouble} of ${rows.length} not following` : `${rows.length} following`);
    item.querySelector(".pill").dataset.state = trouble ? "failing" : "following";
    table(item.lastElementChild, `Streams of ${org}`, STREAMS, rows, (row) => row.stream);
  });
}

function newGroup([org, rows], groups) {
  const open = groups <= 3 || rows.some((row) => row.state !== "following");
  return el("details", { open }, el("summary", {}, el("span", { class: "name" }, org), " ", pill()), el("div"));
}

const LAST = [
  { label: "When", kind: "when", make: () => el("time"), fill: (node, row) => stamp(node, row.recorded) },
  { label: "Event", make: () => el("span", { class: "trigger" }), fill: (node, row) => fillTrigger(node, row) },
  { label: "Record", kind: "record", make: () => el("span", {}, el("bdi"), " ", el("code")), fill: (node, row) => {
    say(node.firstElementChild, row.name);
    say(node.lastElementChild, row.subject);
  } },
  { label: "Changed", kind: "changed", make: () => el("span"), fill: (node, row) =>
    keyed(node, row.changed.slice(0, 12), (path) => path, (path) => el("code", {}, path), () => {}) },
];

function fillTrigger(node, row) {
  const kind = row.trigger.split(".").slice(1).join(".");
  say(node, row.trigger);
  node.dataset.kind = KINDS.includes(kind) ? kind : "other";
}

export function last(events) {
  table(find("last"), "The newest events, newest first", LAST, events, (row) => row.id);
}

const DEAD = [
  { label: "Given up", kind: "when", make: () => el("time"), fill: (node, row) => stamp(node, row.settled) },
  { label: "Sink", kind: "name", text: (row) => row.sink || "none" },
  { label: "Route", kind: "name", text: (row) => row.route || "–" },
  { label: "Event", text: (row) => row.trigger },
  { label: "Attempts", kind: "number", text: (row) => number(row.attempts) },
  { label: "Error", kind: "error", text: (row) => row.error },
  { label: "Action", kind: "action", make: () => button("retry"), fill: (node, row) =>
    aim(node, { sink: row.sink, route: row.route, event: row.id }, `${row.trigger} to ${row.sink || "no sink"}`) },
];

export function dead(state) {
  const [shown, every] = [state.parked.length, state.counts.parked];
  const words = every === 0 ? "None." : shown < every ? `The newest ${number(shown)} of ${number(every)}.` : "";
  say(find("dead-shown"), words);
  table(find("dead"), "Deliveries that were given up", DEAD, state.parked, (row) => `${row.id} ${row.sink} ${row.route}`);
}

const QUARANTINE = [
  { label: "Stream", kind: "name", text: (row) => row.stream },
  { label: "Record", text: (row) => row.record },
  { label: "Reason", kind: "error", text: (row) => row.reason },
];

export function quarantine({ quarantined }) {
  find("quarantine-section").hidden = quarantined.length === 0;
  table(find("quarantine"), "Records that cannot be followed", QUARANTINE, quarantined, (row) => `${row.stream} ${row.record}`);
}
