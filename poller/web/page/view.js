// What the page shows of a state, from above to below: what needs a person first.

import { brief, clock, el, find, keyed, number, plural, say, span, table } from "/dom.js";
import { band, bars } from "/plot.js";

const WORDS = { approve: "Approve", reject: "Reject", retry: "Retry", pause: "Pause", resume: "Resume" };
const SURE = {
  approve: "What is held is announced, to every sink that wants it. That cannot be taken back.",
  reject: "What is held is not announced, now or later. That cannot be taken back.",
};
const KINDS = ["created", "updated", "deleted", "other"];

let now = 0; // the poller's clock
let acting = false;

export function show(state) {
  now = Date.parse(state.now);
  acting = state.session.actions;
  say(find("version"), state.version);
  verdict(state);
  sinks(state);
  streams(state);
  last(state.events);
  dead(state);
  quarantine(state);
  draw(state);
}

const ago = (time) => (time ? `${span((now - Date.parse(time)) / 1000)} ago` : "never");

function stamp(node, time, words = ago(time)) {
  say(node, words);
  node.dateTime = time ?? "";
  node.title = time ? clock(time) : "";
}

// A button for an action on `target`; `what` names that for who does not see where the button stands.
function button(action) {
  return el("button", { type: "button", "data-action": action, "data-sure": SURE[action] }, WORDS[action]);
}

function aim(node, target, what) {
  node.hidden = !acting;
  node.target = target;
  node.what = what;
  node.setAttribute("aria-label", `${node.textContent}: ${what}`);
}

function verdict(state) {
  const act = state.attention.filter((notice) => notice.level === "act").length;
  const watch = state.attention.length - act;
  const words = act ? `${plural(act, "thing needs", "things need")} a person` : watch ? "Nothing needs a person" : "All is well";
  if (find("verdict-text").textContent !== words) say(find("announce"), words);
  find("verdict").dataset.level = act ? "act" : watch ? "watch" : "well";
  say(find("verdict-text"), words);
  say(find("verdict-more"), watch ? `${plural(watch, "thing is", "things are")} only to be watched.` : "");
  find("verdict-more").hidden = !watch;
  document.title = act ? `(${act}) ${words} · poller` : `${words} · poller`;
  keyed(find("notices"), state.attention, (notice) => notice.what, newNotice, fillNotice);
  figures(state);
}

function newNotice({ actions, what }) {
  return el("li", {}, el("div", {}, el("h3", {}, what), el("p")), el("div", { class: "buttons" }, ...actions.map(button)));
}

function fillNotice(item, notice) {
  item.className = notice.level;
  say(item.querySelector("p"), notice.text);
  for (const node of item.querySelectorAll("button")) aim(node, notice.target, notice.what);
}

function figures({ summary, sinks, history }) {
  const total = (list, key) => list.reduce((sum, row) => sum + row[key], 0);
  const oldest = summary.resources.map((row) => row.polled).filter(Boolean).sort()[0];
  const waiting = sinks.map((row) => row.oldest_pending).filter(Boolean).sort()[0];
  const events = Object.values(history.events).flat().reduce((sum, count) => sum + count, 0);
  const range = { 1: "hour", 24: "day", 336: "two weeks" }[history.hours];
  const rows = [
    ["Streams", number(summary.streams), `all polled within ${oldest ? span((now - Date.parse(oldest)) / 1000 + 1) : "–"}`],
    ["Records", number(summary.records), "followed"],
    ["Events", number(events), `in the last ${range}`],
    ["Waiting", number(total(sinks, "pending")), waiting ? `the oldest for ${span((now - Date.parse(waiting)) / 1000)}` : "deliveries"],
  ];
  keyed(find("figures"), rows, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd"), el("dd")), (item, row) => {
    say(item.children[1], row[1]);
    say(item.children[2], row[2]);
  });
}

const pill = () => el("span", { class: "pill" });

function fillPill(node, state) {
  say(node, state);
  node.dataset.state = state;
}

function sinks(state) {
  document.querySelector("[aria-labelledby=sinks-title] .none").hidden = state.sinks.length > 0;
  keyed(find("sinks"), state.sinks, (row) => row.sink, newSink, (item, row) => {
    fillPill(item.querySelector(".pill"), row.state);
    const [pending, parked, delivered, oldest] = item.querySelectorAll("dd");
    say(pending, number(row.pending));
    say(parked, number(row.parked));
    say(delivered, number(row.delivered));
    say(oldest, row.oldest_pending ? span((now - Date.parse(row.oldest_pending)) / 1000) : "–");
    const error = row.error && row.next_try ? `${row.error}. Tried again ${until(row.next_try)}.` : row.error;
    say(item.querySelector(".error"), error);
    const [pause, resume] = item.querySelectorAll("button");
    aim(pause, { name: row.sink }, `sink ${row.sink}`);
    aim(resume, { name: row.sink }, `sink ${row.sink}`);
    pause.hidden ||= row.state === "paused";
    resume.hidden ||= row.state === "ok";
  });
}

const until = (time) => {
  const wait_s = (Date.parse(time) - now) / 1000;
  return wait_s > 1 ? `in ${span(wait_s)}` : "now";
};

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
      node.children[1].hidden ||= row.state !== "paused";
    },
  },
];

function streams(state) {
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

function last(events) {
  const rows = events.length ? events : [];
  table(find("last"), "The newest events, newest first", LAST, rows, (row) => row.id);
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

function dead(state) {
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

function quarantine({ quarantined }) {
  find("quarantine-section").hidden = quarantined.length === 0;
  table(find("quarantine"), "Records that cannot be followed", QUARANTINE, quarantined, (row) => `${row.stream} ${row.record}`);
}

// The plots, which depend on the width too.

export function draw({ history }) {
  const begins = Date.parse(history.begins);
  const times = history.events.created.map((_, place) => begins + place * history.bucket_s * 1000);
  const series = Object.fromEntries(KINDS.map((kind) => [kind, history.events[kind]]));
  const sums = KINDS.map((kind) => [kind, series[kind].reduce((sum, count) => sum + count, 0)]);
  const told = sums.filter(([kind, sum]) => sum || kind !== "other");
  const label = `Events over time: ${told.map(([kind, sum]) => `${number(sum)} ${kind}`).join(", ")}`;
  const short = history.hours > 24 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  const words = (time) => new Date(time).toLocaleString("en-GB", short);
  bars(find("events-plot"), series, times, { label, clock: words });
  legend(told);
  const rows = times.map((time, place) => ({ time, counts: KINDS.map((kind) => series[kind][place]) }));
  const columns = [
    { label: "From", text: (row) => clock(row.time) },
    ...KINDS.map((kind, place) => ({ label: kind, kind: "number", text: (row) => number(row.counts[place]) })),
  ];
  const some = rows.filter((row) => row.counts.some(Boolean));
  table(find("events-table"), "Events over time", columns, some, (row) => row.time);
  for (const item of find("sinks").children) latency(item, history.latency[item.row.sink] ?? []);
}

function legend(told) {
  const host = find("events-plot");
  const list = host.querySelector("ul") ?? host.appendChild(el("ul", { class: "legend" }));
  keyed(list, told, ([kind]) => kind, ([kind]) => el("li", {}, el("span", { class: `swatch kind-${kind}` }), el("span")), (item, [kind, sum]) =>
    say(item.lastElementChild, `${number(sum)} ${kind}`),
  );
}

function latency(item, buckets) {
  const newest = buckets.findLast(Boolean);
  const words = newest ? `Delivered within ${brief(newest.p50)}, nearly all within ${brief(newest.p99)}` : "No delivery in this time";
  say(item.querySelector(".small"), words);
  item.querySelector(".latency").hidden = !newest;
  if (newest) band(item.querySelector(".latency"), buckets, { label: `Delivery latency over time. ${words}.` });
}
