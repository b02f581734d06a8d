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

CUT_OFF = """
const wrong = [];
const shown = (e) => e.getClientRects().length && getComputedStyle(e).visibility !== "hidden";
for (const e of document.querySelectorAll("body *")) {
  if (!shown(e) || e.closest("svg, select, .hidden, .skip, datalist")) continue;
  const style = getComputedStyle(e);
  const clips = (value) => value === "hidden" || value === "clip";
  const scrolls = (value) => value === "auto" || value === "scroll";
  const beyond = [e.scrollWidth > e.clientWidth + 1, e.scrollHeight > e.clientHeight + 1];
  if (style.display === "inline" || e.matches("input, textarea")) continue;
  if ((beyond[0] && clips(style.overflowX)) || (beyond[1] && clips(style.overflowY))) wrong.push(`cut off: ${e.outerHTML.slice(0, 160)}`);
  const isReached = e.tabIndex >= 0 || e.querySelector("a[href], button, input, select, textarea, summary");
  if (((beyond[0] && scrolls(style.overflowX)) || (beyond[1] && scrolls(style.overflowY))) && !isReached)
    wrong.push(`scrolls by mouse only: ${e.outerHTML.slice(0, 160)}`);
}
for (const e of document.querySelectorAll("input:not([type=hidden]):not([type=checkbox])")) {
  if (!shown(e) || e.closest(".hidden")) continue;
  const probe = document.createElement("canvas").getContext("2d");
  const style = getComputedStyle(e);
  probe.font = style.font;
  const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - (e.list ? 20 : 0);
  if (!e.value && probe.measureText(e.placeholder).width > room + 1) wrong.push(`its hint is cut off: ${e.outerHTML}`);
}
return wrong;
"""
"""What a box hides of its contents, and what only a mouse can scroll to."""

KEYBOARD = """
const wrong = [];
const before = document.activeElement;
for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")) {
  if (!e.getClientRects().length || e.matches(":disabled, main")) continue;
  if (e.tabIndex !== 0) { wrong.push(`not reached by Tab in its order: ${e.outerHTML.slice(0, 160)}`); continue; }
  e.focus();
  const style = getComputedStyle(e);
  if (document.activeElement !== e) wrong.push(`takes no focus: ${e.outerHTML.slice(0, 160)}`);
  else if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push(`its focus is not seen: ${e.outerHTML.slice(0, 160)}`);
  e.blur();
}
for (const e of document.querySelectorAll("[onclick], div[role=button], span[role=button]")) wrong.push(`for a mouse only: ${e.outerHTML.slice(0, 160)}`);
if (before && before.focus) before.focus({ preventScroll: true });
window.scrollTo(0, 0);
return wrong;
"""
"""Whatever can be used is reached by Tab in the order of the page, and its focus is seen."""

WORDS = """
const wrong = [];
const unread = "pre, code, script, style, .mono, option, .hidden";
const walker = document.createTreeWalker(document.querySelector("main") || document.body, NodeFilter.SHOW_TEXT);
const seen = [];
while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(unread)) seen.push(walker.currentNode.textContent.trim());
for (const e of document.querySelectorAll("[title], [placeholder], [aria-label]"))
  for (const name of ["title", "aria-label"]) if (e.hasAttribute(name)) seen.push(e.getAttribute(name));
for (const text of seen) {
  if (text.includes("`")) wrong.push(`backticks: ${text}`);
  if (/\\d{4}-\\d\\d-\\d\\dT\\d\\d/.test(text)) wrong.push(`a time for machines: ${text}`);
  for (const [clock, zone] of [...text.matchAll(/\\b\\d\\d:\\d\\d(?::\\d\\d)?\\b( UTC)?/g)].map((m) => [m[0], m[1]]))
    if (!zone) wrong.push(`a time without its zone: ${clock} in ${text}`);
  if (/\\b(null|undefined|Undefined|NaN)\\b|\\bNone\\b(?![.:]| so far| yet)/.test(text)) wrong.push(`a program's word: ${text}`);
}
for (const e of document.querySelectorAll("time")) {
  if (!/Z$/.test(e.dateTime)) wrong.push(`no UTC for machines: ${e.outerHTML}`);
  const shown = e.title || e.textContent;
  if (new Date(e.dateTime.replace(/\\.\\d+Z$/, "Z")).toISOString().replace(".000Z", " UTC").replace("T", " ") !== shown)
    wrong.push(`text or tooltip is another time: ${e.outerHTML}`);
}
return wrong;
"""
"""Sentences for people: no backticks, no program's words; a time is the same shown, in its tooltip and for machines."""


def all_of(*checks: str) -> str:
    """Return the checks as one script, which finds what each of them does: every call of the browser costs its time."""
    return f"return [{', '.join(f'...(() => {{{check}}})()' for check in checks)}];"
