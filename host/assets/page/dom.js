// Makes elements. Texts are always text nodes: nothing that a record or a guest says becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes, `onclick` and the like as functions, then children. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets a text only where it differs, so that a selection and a screen reader are left alone. */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** A table with a caption for those who don't see it. */
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map((column) =>
        h("th", { scope: "col", class: column.end ? "end" : null }, column.title ?? column)))),
      h("tbody", {}, rows)));
}

/** A cell; `end` for numbers. */
export const cell = (content, end) => h("td", { class: end ? "end" : null }, content);

let toastTimer = 0;

/** Tells what was done, or what went wrong, for a while. */
export function toast(text, kind = "good") {
  const toasts = document.getElementById("toasts");
  toasts.replaceChildren(h("p", { class: `toast ${kind}` }, text));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toasts.replaceChildren(), kind === "bad" ? 15000 : 6000);
}

/** What a person reads of a failed request. */
export function problem(error) {
  const parts = [h("strong", {}, error.code ? `${error.code}: ${error.title}` : "It did not work")];
  if (error.detail || error.message) parts.push(h("p", {}, error.detail ?? error.message));
  if (error.remedy) parts.push(h("p", { class: "hint" }, `What to do: ${error.remedy}.`));
  return h("div", { class: "problem", role: "alert" }, parts);
}

/** Runs what a button asks for, with the button out of use meanwhile, and tells how it ended. */
export async function act(button, done, work) {
  button.disabled = true;
  try {
    const result = await work();
    toast(typeof done === "function" ? done(result) : done);
    return result;
  } catch (error) {
    toast(error.code ? `${error.code}: ${error.detail ?? error.title}` : error.message, "bad");
    return undefined;
  } finally {
    button.disabled = false;
  }
}
