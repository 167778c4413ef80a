"use strict";

// Flask-Admin puts such handlers into attributes, which the pages' policy forbids.

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  // Links that do something here, and lead nowhere.
  if (/^(#|javascript:)/.test(link.getAttribute("href"))) event.preventDefault();
  if (link.dataset.action) modelActions.execute(link.dataset.action);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// The inline editor, which is loaded after this, would run every value that looks like
// a list or an object as a script: a username, too.
$(() => {
  if (!$.fn.editableutils) return;
  $.fn.editableutils.getConfigData = ([link]) => {
    const options = { ...link.dataset };
    if (options.source) options.source = JSON.parse(options.source);
    return options;
  };
});
