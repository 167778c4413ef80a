"use strict";

// What the pages of the admin site do beyond HTML. Without this script, all times are in
// UTC, users are edited on a page of their own, and nothing else is missing.

// Times in the time zone of the reader. The title has the time in UTC.
const TIME_FORMAT = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
for (const time of document.querySelectorAll("time")) {
  time.title = time.textContent;
  time.textContent = TIME_FORMAT.format(new Date(time.dateTime));
}

// Inputs of times. The server expects and returns them in UTC.
const toInputValue = (date) => date.toISOString().slice(0, 16);
const timeZone = TIME_FORMAT.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
for (const input of document.querySelectorAll("input[type=datetime-local]")) {
  if (input.value) {
    const date = new Date(`${input.value}Z`);
    date.setMinutes(date.getMinutes() - date.getTimezoneOffset());
    input.value = toInputValue(date);
  }
  document.querySelector(`label[for=${input.id}] .time-zone`).textContent = `(${timeZone})`;
}
document.addEventListener("formdata", ({ target, formData }) => {
  for (const input of target.querySelectorAll("input[type=datetime-local]")) {
    // Without an offset, a date and time is local.
    if (input.value) formData.set(input.name, toInputValue(new Date(input.value)));
  }
});

// Forms that ask before they are submitted, and before their input is lost.
let hasUnsavedInput = document.querySelector("[data-is-changed]") !== null;
document.addEventListener("input", ({ target }) => {
  if (target.closest("[data-warn-unsaved]")) hasUnsavedInput = true;
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
  else hasUnsavedInput = false;
});
window.addEventListener("beforeunload", (event) => {
  if (hasUnsavedInput) event.preventDefault();
});

// The first invalid field has the focus.
document.querySelector("[aria-invalid]")?.focus();

// The check box that selects all users of a page.
const checkboxes = [...document.querySelectorAll("[name=rowid]")];
document.querySelector("#select-page")?.addEventListener("change", ({ target }) => {
  for (const checkbox of checkboxes) checkbox.checked = target.checked;
});

// Menus close when the reader goes on elsewhere.
for (const menu of document.querySelectorAll(".menu")) {
  document.addEventListener("click", ({ target }) => {
    if (!menu.contains(target)) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// Edits inside the list. At most one editor is open.
const editorTemplate = document.querySelector("#inline-editor");
let closeInlineEditor = () => {};

function openInlineEditor(button) {
  closeInlineEditor();
  const { id, field, value, boolean } = button.dataset;
  const cell = button.closest("td");
  const shown = cell.querySelector(".value");
  const form = editorTemplate.content.firstElementChild.cloneNode(true);
  const error = form.querySelector("[role=alert]");
  const inputs = [form.querySelector("input[type=text]"), form.querySelector("select")];
  const [input, unused] = boolean === undefined ? inputs : inputs.reverse();
  unused.remove();
  form.elements.list_form_pk.value = id;
  input.name = field;
  input.value = value;
  input.ariaLabel = button.ariaLabel;

  function close() {
    form.remove();
    shown.hidden = button.hidden = false;
    closeInlineEditor = () => {};
  }

  function closeAndReturnFocus() {
    close();
    button.focus();
  }

  async function submit(event) {
    event.preventDefault();
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { "X-Requested-With": "XMLHttpRequest" },
      });
      if (response.ok) {
        button.dataset.value = input.value;
        shown.textContent = input.selectedOptions?.[0].text ?? input.value;
        closeAndReturnFocus();
        return;
      }
      error.textContent = await response.text();
    } catch {
      error.textContent = "The service did not answer: try again.";
    }
    input.ariaInvalid = "true";
    input.focus();
  }

  form.addEventListener("submit", submit);
  form.addEventListener("keydown", ({ key }) => key === "Escape" && closeAndReturnFocus());
  form.querySelector("button[type=button]").addEventListener("click", closeAndReturnFocus);
  shown.hidden = button.hidden = true;
  cell.append(form);
  input.focus();
  closeInlineEditor = close;
}

for (const button of document.querySelectorAll(".inline-edit")) {
  button.disabled = false;
  button.addEventListener("click", () => openInlineEditor(button));
}
