// What elements do that say so in a data-service-… attribute. The pages' Content-Security-Policy
// lets no handler in an attribute run. Only an element with the page's nonce is heard: a template's
// author wrote it.
(function () {
  "use strict";

  var NONCE = document.currentScript.nonce;

  // What a click does, by attribute. `text` is the attribute's value.
  var CLICKS = {
    inert: function (event) {
      event.preventDefault();
    },
    confirm: function (event, text) {
      // Flask-Admin writes some of its questions as the source of a JavaScript string.
      if (!window.confirm(text.replace(/\\(['"\\])/g, "$1"))) {
        event.preventDefault();
      }
    },
    "batch-action": function (event, text) {
      event.preventDefault();
      window.modelActions.execute(text);
    },
    "add-inline-field": function (event, text, element) {
      window.faForm.addInlineField(element, text);
    },
    "post-as-form": function (event, text, element) {
      event.preventDefault();
      window.postAsForm(element.href);
    },
    "delete-dag": function (event, text, element) {
      event.preventDefault();
      window.confirmDeleteDag(element, text);
    },
    history: function (event, text) {
      event.preventDefault();
      window.history.go(Number(text));
    }
  };

  function hear(name) {
    var attribute = "data-service-" + name;
    // Before the element's own listeners, as a handler in an attribute was.
    document.addEventListener("click", function (event) {
      var element = event.target.closest("[" + attribute + "]");
      if (element && NONCE && element.nonce === NONCE) {
        CLICKS[name](event, element.getAttribute(attribute), element);
      }
    }, true);
  }
  Object.keys(CLICKS).forEach(hear);

  // Links that lead nowhere by javascript:void(0) would be reported as violations.
  window.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[href]");
    if (link && /^javascript:\s*(void\(?\s*0?\s*\)?)?;?\s*$/i.test(link.getAttribute("href"))) {
      event.preventDefault();
    }
  });

  // X-editable evaluates what Flask-Admin writes as JSON.
  document.addEventListener("DOMContentLoaded", function () {
    var utils = window.jQuery && window.jQuery.fn.editableutils;
    if (utils) {
      utils.tryParseJson = function (text, safe) {
        if (typeof text !== "string" || !/^[{[].*[}\]]$/.test(text)) {
          return text;
        }
        try {
          return JSON.parse(text);
        } catch (error) {
          if (safe) {
            return text;
          }
          throw error;
        }
      };
    }
  });
})();
