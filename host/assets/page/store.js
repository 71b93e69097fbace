// What is known of the host: asked for every two seconds, with the last five minutes of each figure.

import { get, part, send } from "./api.js";
import { between, parse, quantile } from "./metrics.js";

const EVERY_MS = 2000;
/** Points of a plot. */
export const POINTS = 150;

/** The functions by name, as the list shows them, with `manifest`, `now` (figures) and `past` (series). */
export const functions = new Map();
/** What goes over each edge: `topic>function` and `function>topic`, in records a second. */
export const edges = new Map();
/** Whether the last question was answered, and why not. */
export const health = { ok: null, text: "connecting …" };

const listeners = new Set();
let last = null;

/** Calls `listener` after each answer, until the function that is given back is called. */
export function watch(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Asks at once, such as after a change. */
export async function refresh() {
  await list();
  tell();
}

/** Asks for ever, but not while nobody looks. */
export async function run() {
  for (;;) {
    if (!document.hidden) {
      try {
        await list();
        await figures();
        const stalled = [...functions.values()].filter((one) => ["stalled", "failed"].includes(one.state)).length;
        const count = `${functions.size} function${functions.size === 1 ? "" : "s"}`;
        Object.assign(health, { ok: stalled === 0, text: stalled ? `${stalled} of ${count} in trouble` : `${count}, all well` });
      } catch (error) {
        Object.assign(health, { ok: false, text: error.detail ?? error.message });
      }
      tell();
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function tell() {
  for (const listener of [...listeners]) listener();
}

async function list() {
  const answer = await get("/v1/functions");
  const names = new Set(answer.functions.map((one) => one.name));
  for (const name of functions.keys()) if (!names.has(name)) functions.delete(name);
  for (const one of answer.functions) {
    const known = functions.get(one.name);
    if (!known || known.revision !== one.revision || !known.manifest) {
      const whole = await get(`/v1/functions/${part(one.name)}`).catch(() => null);
      functions.set(one.name, { ...known, ...one, manifest: whole?.manifest, now: known?.now ?? {}, past: known?.past ?? {} });
    } else {
      Object.assign(known, one);
    }
  }
}

async function figures() {
  const text = await (await send("/metrics")).text();
  const reading = { at: performance.now(), samples: parse(text) };
  const seconds = last ? (reading.at - last.at) / 1000 : null;
  for (const one of functions.values()) {
    one.now = figuresOf(one.name, reading.samples, last?.samples, seconds);
    for (const [figure, value] of Object.entries(one.now)) {
      if (typeof value === "object" && value !== null) continue;
      const series = (one.past[figure] ??= []);
      series.push(value ?? null);
      if (series.length > POINTS) series.shift();
    }
  }
  flows(reading.samples, last?.samples, seconds);
  last = reading;
}

function figuresOf(name, samples, before, seconds) {
  const own = (from, metric) => (from?.get(metric) ?? []).filter(({ labels }) => labels.function === name);
  const sum = (from, metric) => own(from, metric).reduce((total, { value }) => total + value, 0);
  // A counter that has become smaller began anew.
  const perSecond = (metric) => (seconds ? Math.max(0, sum(samples, metric) - sum(before, metric)) / seconds : null);
  const buckets = (from) => own(from, "millstream_call_duration_seconds_bucket").map(({ labels, value }) =>
    [labels.le === "+Inf" ? Infinity : Number(labels.le), value]);
  const calls = seconds ? between(buckets(samples), buckets(before)) : [];
  return {
    throughput: perSecond("millstream_records_received_total"),
    emitted: perSecond("millstream_events_emitted_total"),
    lag: sum(samples, "millstream_partition_lag_records"),
    p50: quantile(calls, 0.5),
    p99: quantile(calls, 0.99),
    memory: sum(samples, "millstream_memory_high_water_bytes"),
    instances: sum(samples, "millstream_instances"),
    cold: perSecond("millstream_cold_starts_total"),
    hot: perSecond("millstream_hot_starts_total"),
    coldTotal: sum(samples, "millstream_cold_starts_total"),
    hotTotal: sum(samples, "millstream_hot_starts_total"),
    dead: sum(samples, "millstream_records_dead_lettered_total"),
    cpu: perSecond("millstream_guest_cpu_seconds_total"),
    faults: Object.fromEntries(own(samples, "millstream_faults_total").map(({ labels, value }) => [labels.class, value])),
  };
}

function flows(samples, before, seconds) {
  edges.clear();
  const add = (metric, key) => {
    const earlier = new Map();
    for (const { labels, value } of before?.get(metric) ?? []) earlier.set(JSON.stringify(labels), value);
    for (const { labels, value } of samples.get(metric) ?? []) {
      const was = earlier.get(JSON.stringify(labels));
      const rate = seconds && was !== undefined ? Math.max(0, value - was) / seconds : 0;
      edges.set(key(labels), (edges.get(key(labels)) ?? 0) + rate);
    }
  };
  add("millstream_partition_watermark_offset", ({ topic, function: name }) => `${topic}>${name}`);
  add("millstream_messages_written_total", ({ topic, function: name }) => `${name}>${topic}`);
}
