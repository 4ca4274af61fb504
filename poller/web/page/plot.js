// Two small plots, drawn as SVG. Colours come from the style sheet, by class.

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const EDGE = { left: 40, right: 4, top: 8, bottom: 20 };

function shape(tag, attributes, text) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function canvas(host, width, height, label) {
  let svg = host.querySelector("svg");
  if (!svg) {
    svg = shape("svg", { role: "img" });
    host.append(svg);
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-label", label);
  svg.replaceChildren();
  return svg;
}

// The least of 1, 2, 4, 6, 8, 10, 20 ... that is not less than `value`.
export function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value) ?? 1;
}

// Bars of a bucket each, the series stacked: `series` is {name: [counts]}, `times` the buckets' beginnings.
export function bars(host, series, times, { label, clock }) {
  const width = Math.max(280, host.clientWidth);
  const svg = canvas(host, width, HEIGHT, label);
  const totals = times.map((_, place) => Object.values(series).reduce((sum, counts) => sum + counts[place], 0));
  const top = ceiling(Math.max(1, ...totals));
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const y = (value) => EDGE.top + inner.height * (1 - value / top);
  const step = inner.width / times.length;
  for (const value of top === 1 ? [0, 1] : [0, top / 2, top]) {
    svg.append(shape("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }));
    const words = value.toLocaleString("en", { notation: value >= 10000 ? "compact" : "standard" });
    svg.append(shape("text", { class: "tick", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, words));
  }
  times.forEach((_, place) => {
    let below = 0;
    for (const [name, counts] of Object.entries(series)) {
      if (!counts[place]) continue;
      const x = EDGE.left + place * step + step * 0.12;
      const height = Math.max(1, (counts[place] / top) * inner.height);
      svg.append(shape("rect", { class: `kind-${name}`, x, y: y(below + counts[place]), width: step * 0.76, height }));
      below += counts[place];
    }
  });
  const marks = width < 480 ? [0, 24] : [0, 12, 24, 36];
  for (const place of [...marks, times.length]) {
    const anchor = place === 0 ? "start" : place === times.length ? "end" : "middle";
    const words = place === times.length ? "now" : clock(times[place]);
    svg.append(shape("text", { class: "tick", x: EDGE.left + place * step, y: HEIGHT - 4, "text-anchor": anchor }, words));
  }
  return { place: (x) => Math.floor((x - EDGE.left) / step) };
}

// A band from the half to nearly all of what deliveries took, on a logarithmic scale from 1 ms to 1000 s.
export function band(host, buckets, { label }) {
  const width = Math.max(120, host.clientWidth);
  const [height, left] = [76, 40];
  const svg = canvas(host, width, height, label);
  const y = (seconds) => height - 4 - ((Math.log10(Math.min(1000, Math.max(0.001, seconds))) + 3) / 6) * (height - 8);
  for (const [mark, words] of [[0.01, "10 ms"], [1, "1 s"], [100, "100 s"]]) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width, y1: y(mark), y2: y(mark) }));
    svg.append(shape("text", { class: "tick", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, words));
  }
  const step = (width - left) / buckets.length;
  buckets.forEach((bucket, place) => {
    if (!bucket) return;
    const [x, high, low] = [left + place * step + step * 0.12, y(bucket.p99), y(bucket.p50)];
    svg.append(shape("rect", { class: "most", x, y: high - 1, width: step * 0.76, height: Math.max(2, low - high + 1) }));
    svg.append(shape("rect", { class: "half", x, y: low - 1, width: step * 0.76, height: 3 }));
  });
}
