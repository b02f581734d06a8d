"""Checks of a page in the browser that shows it; each script returns what is wrong."""

CONTRAST = """
const wrong = new Set();
const numbers = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
const channel = (value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, a = 1] = numbers(getComputedStyle(at).backgroundColor);
    if (a > 0.99) return [r, g, b];
  }
  return [255, 255, 255];
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim();
  const element = walker.currentNode.parentElement;
  const box = element.getBoundingClientRect();
  if (!text || box.width < 2 || element.closest(":disabled, .hidden, option, script")) continue;
  const style = getComputedStyle(element);
  if (style.visibility === "hidden" || style.display === "none") continue;
  const [light, dark] = [luminance(numbers(style.color)), luminance(ground(element))].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) wrong.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return [...wrong];
"""
"""Text against its ground: at least 4.5, large text 3 (WCAG 2 AA)."""

LABELS = """
const wrong = [];
const named = (e) => e.getAttribute("aria-label") || (e.labels && e.labels.length) || e.getAttribute("aria-labelledby");
for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) if (!named(e)) wrong.push(e.outerHTML);
for (const e of document.querySelectorAll("button, a[href]")) if (!e.textContent.trim()) wrong.push(e.outerHTML);
for (const e of document.querySelectorAll("svg")) {
  if (e.getAttribute("aria-hidden") !== "true" && !(e.getAttribute("role") === "img" && named(e))) wrong.push(e.outerHTML);
}
for (const e of document.querySelectorAll("th")) if (!e.scope) wrong.push(e.outerHTML);
for (const e of document.querySelectorAll("table")) if (!e.querySelector("th")) wrong.push(e.outerHTML);
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`twice: ${id}`);
for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
  const wanted = `${e.getAttribute("aria-labelledby") || ""} ${e.getAttribute("aria-describedby") || ""}`.trim();
  for (const id of wanted.split(/\\s+/)) if (!ids.includes(id)) wrong.push(`nowhere: ${id}`);
}
if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
if (document.documentElement.lang !== "en") wrong.push("no language");
let level = 0;
for (const e of document.querySelectorAll("h1, h2, h3")) {
  if (Number(e.tagName[1]) > level + 1) wrong.push(`a heading too deep: ${e.textContent}`);
  level = Number(e.tagName[1]);
}
return wrong;
"""
"""Fields, buttons, pictures, tables and headings have names for screen readers."""

WIDER = """
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
const wide = [...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > width + 1);
return wide.filter((e) => !e.closest(".scroll")).map((e) => e.outerHTML.slice(0, 120));
"""
"""What is wider than the window, so that the page would scroll sideways."""
