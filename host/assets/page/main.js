// Shows the view that the address names.

import { h, problem, setText } from "./dom.js";
import * as store from "./store.js";
import { deploy } from "./deploy.js";
import { events } from "./events.js";
import { functionView } from "./function.js";
import { overview } from "./overview.js";
import { topology } from "./topology.js";
import { usage } from "./usage.js";

// A view is given its part of the page and the rest of the address; it gives back what ends it.
const VIEWS = [
  [/^\/?$/, "Functions", overview],
  [/^\/topology$/, "Topology", topology],
  [/^\/events(?:\/(.*))?$/, "Events", events],
  [/^\/usage$/, "Usage", usage],
  [/^\/deploy$/, "Deploy", deploy],
  [/^\/functions\/([^/]+)(?:\/(.*))?$/, null, functionView],
];

let end = () => {};

function show(isFirst) {
  const path = decodeURI(location.hash.slice(1)) || "/";
  const main = document.getElementById("main");
  end();
  end = () => {};
  main.replaceChildren();
  const found = VIEWS.map(([pattern, title, view]) => ({ match: pattern.exec(path), title, view })).find(({ match }) => match);
  if (!found) {
    main.append(h("h1", {}, "There is nothing here"), h("p", {}, h("a", { href: "#/" }, "All functions")));
    return;
  }
  document.title = `${found.title ?? found.match[1]} · Millstream`;
  try {
    end = found.view(main, ...found.match.slice(1).map((part) => part && decodeURIComponent(part))) ?? end;
  } catch (error) {
    main.append(problem(error));
  }
  for (const link of document.querySelectorAll(".top nav a")) {
    const target = link.getAttribute("href").slice(1);
    const isHere = target === "/" ? path === "/" || path.startsWith("/functions/") : path.startsWith(target);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // Whoever follows a link by keyboard goes on in the new view.
  if (!isFirst) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
}

store.watch(() => {
  const health = document.getElementById("health");
  setText(health, store.health.text);
  health.className = `health ${store.health.ok ? "good" : "bad"}`;
});
addEventListener("hashchange", () => show(false));
show(true);
store.run();
