// The pages work without scripts; this makes them nicer.
"use strict";

// Parts of a page that change by themselves. A part that has the keyboard focus is not replaced.
function keepLive(region) {
  const seconds = Number(region.dataset.seconds);
  let failures = 0;

  async function refresh() {
    if (!document.hidden) {
      try {
        const answer = await fetch(region.dataset.live, { redirect: "manual", headers: { Accept: "text/html" } });
        if (answer.type === "opaqueredirect") { window.location.reload(); return; }
        if (!answer.ok) throw new Error(String(answer.status));
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (replaceParts(region, fresh)) return;
        failures = 0;
        region.classList.remove("stale");
      } catch {
        failures += 1;
        region.classList.toggle("stale", failures > 1);
      }
    }
    window.setTimeout(refresh, 1000 * seconds * Math.min(1 + failures, 6));
  }

  window.setTimeout(refresh, 1000 * seconds);
}

function replaceParts(region, fresh) {
  let done = false;
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = region.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
    done = done || part.hasAttribute("data-done");
    if (part.dataset.title) document.title = part.dataset.title;
    if (!old || old.contains(document.activeElement) || old.innerHTML === part.innerHTML) continue;
    const open = Array.from(old.querySelectorAll("details"), (each) => each.open);
    part.querySelectorAll("details").forEach((each, index) => { each.open = open[index] || false; });
    old.replaceWith(document.adoptNode(part));
  }
  return done;
}

// Fields that only matter for one choice of another field.
function showWhen(field) {
  const [name, value] = field.dataset.when.split("=");
  const chooser = field.closest("form").elements[name];
  const update = () => { field.hidden = chooser.value !== value; };
  chooser.addEventListener("change", update);
  update();
}

// A form that is on its way is not sent twice.
function onlyOnce(form) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) window.setTimeout(() => { button.disabled = true; });
  });
}

function copies(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: copy it now";
    }
  });
}

// `/` leads to the search field, as in many places.
function shortcut(event) {
  const inField = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key !== "/" || inField || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.getElementById("find");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

// A page that "back" shows again may belong to a session that has ended, or have its buttons disabled.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
document.addEventListener("keydown", shortcut);
document.querySelectorAll("[data-live]").forEach(keepLive);
document.querySelectorAll("[data-when]").forEach(showWhen);
document.querySelectorAll("form[method=post]").forEach(onlyOnce);
document.querySelectorAll("[data-copy]").forEach(copies);
