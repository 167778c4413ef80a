"use strict";

// Flask-Admin's own event handlers are in attributes, which the Content Security Policy
// of the pages does not allow.

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  // Links that are handled by a script.
  if (/^(#|javascript:)/.test(link.getAttribute("href"))) event.preventDefault();
  if (link.dataset.action) modelActions.execute(link.dataset.action);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// The inline editor, which is loaded later, evaluates every value that looks like a list
// or an object as JavaScript. A username may look so.
$(() => {
  if (!$.fn.editableutils) return;
  $.fn.editableutils.getConfigData = ([link]) => {
    const options = { ...link.dataset };
    if (options.source) options.source = JSON.parse(options.source);
    return options;
  };
});
