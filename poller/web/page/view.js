// What the page shows of a state, from above to below: what needs a person first.

import { brief, clock, el, find, keyed, number, plural, say, table } from "/dom.js";
import { dead, last, quarantine, sinks, streams } from "/lists.js";
import { age, aim, begin, button } from "/parts.js";
import { band, bars } from "/plot.js";

const KINDS = ["created", "updated", "deleted", "other"];

export function show(state) {
  begin(state);
  say(find("version"), state.version);
  verdict(state);
  sinks(state);
  streams(state);
  last(state.events);
  dead(state);
  quarantine(state);
  draw(state);
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
    ["Streams", number(summary.streams), oldest ? `the oldest poll ${age(oldest)} ago` : "none polled yet"],
    ["Records", number(summary.records), "followed"],
    ["Events", number(events), `in the last ${range}`],
    ["Waiting", number(total(sinks, "pending")), waiting ? `the oldest for ${age(waiting)}` : "deliveries"],
  ];
  keyed(find("figures"), rows, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd"), el("dd")), (item, row) => {
    say(item.children[1], row[1]);
    say(item.children[2], row[2]);
  });
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
