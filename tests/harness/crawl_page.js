// What the crawler sees of a page, as a user could: run in the page, before and after its own scripts.

// Before: elements that get a listener of their own for clicks are controls, whoever made them.
const listening = new WeakSet();
const listen = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, ...rest) {
  if (this instanceof Element && ["click", "mousedown", "change"].includes(type)) listening.add(this);
  return listen.call(this, type, ...rest);
};

window.__crawl = (() => {
  const ADDRESSES = ["href", "src", "action", "formaction", "data-action", "data-url", "data-href", "poster"];
  const RETURNS = ["origin", "url", "next"];
  const NATIVE = "button, input[type=submit], input[type=button], input[type=image], summary, [role=button]," +
    " [onclick], [data-toggle], .toggle, a[href^='#'], a[href^='javascript:'], a:not([href])";
  // Containers that listen for what happens in them, and widgets that ask for nothing.
  const UNFIT = "html, body, form, table, select, textarea, input:not([type=submit]):not([type=button]):not(.toggle)," +
    " .modal, .modal-dialog, .modal-content, [data-toggle=buttons], .clock, [class*=datepicker] *, [class*=daterange] *, .calendar, [class*=select2], [class*=select2] *," +
    " .nvd3 *";
  // Absolute paths of the application's own, in scripts too.
  const PATHS = /["'`=(]\s*(\/(?:[\w.~-]+\/)?(?:admin|static|api|health|a)\/[^"'`)\s<>]*)/g;

  // What a closed menu holds can be reached, too.
  const visible = (element) => {
    const menu = element.closest(".dropdown-menu");
    if (menu !== null && menu !== element) element = menu.parentElement;
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== "hidden";
  };
  const whole = (address) => {
    try { return new URL(address.trim(), document.baseURI).href; } catch { return address; }
  };
  // A handler stands in an attribute, in a listener, or, for page.js, in a data-service- attribute.
  const declared = (element) => [...element.attributes].some((one) => one.name.startsWith("data-service-")) ||
    element.hasAttribute("onclick");
  const CHANGES = "[data-service-batch-action], [data-service-post-as-form], [data-service-delete-dag]";
  const handled = (element) => listening.has(element) || element.hasAttribute("data-toggle") || declared(element);
  const words = (element) => (element.textContent || element.value || "").trim().replace(/\s+/g, " ").slice(0, 40);
  const distinct = (list, key) => [...new Map(list.toReversed().map((one) => [key(one), one])).values()].reverse();
  const cssPath = (element) => {
    const steps = [];
    for (let one = element; one && one !== document.documentElement; one = one.parentElement)
      steps.unshift(`${one.localName}:nth-child(${[...one.parentElement.children].indexOf(one) + 1})`);
    return steps.join(" > ");
  };
  const look = (element) => getComputedStyle(element.querySelector("rect, circle") || element).fill;

  function control(element) {
    const form = element.form || element.closest("form");
    const submits = form !== null && (element.type === "submit" || element.hasAttribute("data-action") ||
      element.matches("a, [type=image]") && handled(element));
    // A form's further buttons send it to the same place, and then go elsewhere.
    const further = submits && element.type === "submit" && form.querySelector("[type=submit]") !== element;
    const target = further ? "" : element.getAttribute("data-action") || element.getAttribute("href") ||
      (submits ? form.getAttribute("action") || location.href : "");
    const svg = element instanceof SVGElement;
    const classes = [...element.classList].filter((one) => !/\d|^(active|hover|in|off|open|btn-primary|btn-default)$/.test(one));
    const icon = element.querySelector("[class*=glyphicon-], [class*='fa-']");
    return {
      element,
      tag: element.localName,
      kind: [element.localName, element.type || "", classes.join(".")].join("|"),
      group: [element.name || "", element.title || "", icon ? icon.className : "", svg ? look(element) : ""].join("|"),
      // Of rows of a list one is as good as the other.
      name: svg || element.closest("tbody tr") ? "" : [element.id, words(element).replace(/\d+/g, "N")].join("|"),
      target: /^(#|javascript:|$)/.test(target) ? "" : whole(target),
      posts: submits && form.method.toLowerCase() === "post" || element.matches(CHANGES),
      declared: declared(element),
      shared: element.closest(".navbar, .modal") !== null,
    };
  }

  return {
    see() {
      // What moves is not there yet.
      if (window.jQuery) {
        jQuery.fx.off = true;
        jQuery.support.transition = false;
      }
      if (window.d3 && !d3.still) {
        const duration = d3.transition.prototype.duration;
        d3.transition.prototype.duration = function () { return duration.call(this, 0); };
        d3.still = true;
      }
      const addresses = [];
      for (const name of ADDRESSES)
        for (const element of document.querySelectorAll(`[${name}]`))
          addresses.push({tag: element.localName, attribute: name, raw: element.getAttribute(name),
                          url: whole(element.getAttribute(name)), handled: handled(element)});
      for (const name of RETURNS)
        for (const element of document.querySelectorAll(`input[name=${name}]`))
          if (element.value.startsWith("/") || /^https?:/.test(element.value))
            addresses.push({tag: "input", attribute: name, raw: element.value, url: whole(element.value), handled: true});
      const controls = [...document.querySelectorAll("*")].filter((element) =>
        (element.matches(NATIVE) || handled(element)) && !element.matches(UNFIT) && !element.disabled &&
        visible(element)).map(control);
      // As one string, and each thing once: pages have hundreds of them.
      return JSON.stringify({
        url: location.href,
        addresses: distinct(addresses, (one) => `${one.tag} ${one.attribute} ${one.url} ${one.handled}`),
        controls: distinct(controls, (one) => `${one.kind}|${one.group}|${one.name}|${one.target}`)
          .map(({element, ...one}) => ({...one, path: cssPath(element)})),
        alerts: [...document.querySelectorAll(".alert")].filter(visible).map((one) =>
          ({kind: one.className, text: words(one)})),
        blind: [...document.images].filter((one) => one.complete && one.naturalWidth === 0 && visible(one))
          .map((one) => one.src),
        paths: [...new Set([...document.documentElement.outerHTML.matchAll(PATHS)].map((found) => found[1]))],
        open: document.querySelector(".modal.in, .modal.show") !== null,
      });
    },

    // Click, as far as a script can, and give an empty form what it needs first.
    // `values` has those of certain fields, by name.
    press(path, values) {
      const element = document.querySelector(path);
      if (!element || !visible(element)) return false;
      const form = element.form || element.closest("form");
      if (form && element.closest(".modal") === null) this.fill(form, values);
      if (element.hasAttribute("data-service-batch-action"))
        for (const box of [...document.querySelectorAll("input.action-checkbox")].slice(0, 1)) box.checked = true;
      for (const type of ["mouseover", "mousedown", "mouseup"])
        element.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, view: window}));
      if (element instanceof SVGElement)
        element.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, view: window}));
      else element.click();
      // A navigation that this began ends the wait, and so tells of itself.
      return new Promise((done) => setTimeout(() => done(true), 30));
    },

    fill(form, values) {
      for (const field of form.elements) {
        // What is edited in place is sent only if it is another value than before.
        if (form.matches(".editableform") && field.type === "text") field.value = "";
        if (field.value || field.readOnly || field.type === "hidden") continue;
        if (field.name in values) field.value = values[field.name];
        else if (field.type === "number") field.value = "2";
        else if (/date|time/.test(`${field.dataset.role} ${field.name}`))
          field.value = `2024-01-01 00:00:${String(values[""]).padStart(2, "0")}`;
        else if (["text", "textarea"].includes(field.type) && field.name)
          field.value = `crawled_${values[""]}`;
      }
    },
  };
})();
