// A task's log, try by try: the end first, what comes while the task runs, and what was before.
// Only so much of a text is asked for as is shown: each answer is a page of it, cut at a line's end.
(function () {
  "use strict";

  // Characters that stay on the page; of what is beyond, the beginning goes, and can be asked for again.
  var MOST_SHOWN = 4000000;
  var LONGEST_WAIT = 30000;

  var logs = document.getElementById("logs");
  var DELAY = Number(logs.dataset.delay);
  var NEAR_BOTTOM = Number(logs.dataset.nearBottom);

  function isNearBottom() {
    return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR_BOTTOM;
  }

  // Resolves when some time has passed, and somebody looks at the page.
  function pause(milliseconds) {
    return new Promise(function (resolve) {
      setTimeout(function () {
        if (!document.hidden) return resolve();
        document.addEventListener("visibilitychange", function () { resolve(); }, {once: true});
      }, milliseconds);
    });
  }

  function Log(pane) {
    this.pane = pane;
    this.code = pane.querySelector("code");
    this.earlier = pane.querySelector("[data-log-earlier]");
    this.notes = pane.querySelector("[data-log-notes]");
    this.cursor = null;    // where the next look begins, as the server said
    this.metadata = null;  // the same, of a handler that knows no pages
    this.place = "";
    this.shown = [];       // [{start, node, isCut}], in the text's order
    this.said = [];        // what the last answer had to say
    this.quietSince = 0;   // when, in milliseconds, the first look was that found nothing new after the task's end
    this.wait = DELAY;
    this.isAsked = false;
    this.earlier.hidden = false;
    this.offerEarlier();
    this.earlier.addEventListener("click", this.showEarlier.bind(this));
  }

  Log.prototype.ask = function (values) {
    return fetch(this.pane.dataset.page + "&" + new URLSearchParams(values)).then(function (answer) {
      if (answer.ok) return answer.json();
      return answer.text().then(function (text) {
        var isMarkup = /^text\/html/.test(answer.headers.get("Content-Type"));
        var error = new Error(answer.status + ": " + (isMarkup ? answer.statusText : text.trim()));
        // What was asked for is wrong, or may not be seen: the next answer would be the same.
        error.isFinal = answer.status >= 400 && answer.status < 500;
        throw error;
      });
    });
  };

  Log.prototype.follow = function () {
    if (this.isAsked) return;
    this.isAsked = true;
    this.look();
  };

  Log.prototype.look = function () {
    var values = {quiet: this.quietSince ? Math.floor((performance.now() - this.quietSince) / 1000) : 0};
    if (this.metadata) values.metadata = JSON.stringify(this.metadata);
    if (this.cursor) Object.assign(values, this.cursor);
    this.ask(values).then(this.take.bind(this)).catch(function (error) {
      this.tell([error.message]);
      return error.isFinal ? null : this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
    }.bind(this)).then(function (wait) {
      if (wait === null) {
        this.pane.dataset.state = "over";
        return;
      }
      pause(wait).then(this.look.bind(this));
    }.bind(this));
  };

  // Show what came; returns milliseconds to wait, or null at the end.
  Log.prototype.take = function (look) {
    var stays = this.shown.length ? isNearBottom() : !look.over || look.start > 0;
    if (look.anew) this.clear();
    this.cursor = look.cursor || this.cursor;
    this.metadata = look.metadata || null;
    this.place = this.cursor ? this.cursor.place : "";
    if (look.text) {
      var node = this.code.appendChild(document.createTextNode(look.text));
      this.shown.push({start: look.start, node: node, isCut: look.within_line});
      if (stays) this.forgetBeginning();
    }
    this.quietSince = look.ended && !look.text ? this.quietSince || performance.now() : 0;
    this.say(look);
    this.offerEarlier();
    if (look.text && stays && this.pane.classList.contains("active")) {
      window.scrollTo(0, document.documentElement.scrollHeight);
    }
    if (look.over) return null;
    this.wait = look.trouble ? Math.min(2 * this.wait, LONGEST_WAIT) : DELAY;
    return look.more ? 0 : this.wait;
  };

  Log.prototype.say = function (look) {
    var lines = [];
    if (look.trouble && (look.found || this.shown.length)) {
      lines.push("This may be not all of the log; it is asked for again. " + look.trouble);
    } else {
      if (!look.found) {
        lines.push(look.over ? "The log is nowhere to be found. It was looked for in:"
          : look.trouble ? "The log was not found so far; it is asked for again. It was looked for in:"
          : "There is no log yet. It was looked for in:");
      }
      lines = lines.concat(look.told || []);
    }
    if (look.where) lines.push("This is " + look.where);
    if (look.ahead) {
      lines.push("Its last " + look.ahead + " bytes are of this machine, and not there yet.");
    }
    this.said = lines;
    this.tell([]);
  };

  // What was answered last, and what is said beside it.
  Log.prototype.tell = function (lines) {
    lines = this.said.concat(lines);
    if (this.shown.length && this.shown[0].isCut) {
      lines.push("It begins within a line that is longer than a page: Earlier shows more of it, Download has all.");
    }
    this.notes.textContent = lines.join("\n");
  };

  Log.prototype.clear = function () {
    this.code.textContent = "";
    this.shown = [];
  };

  Log.prototype.forgetBeginning = function () {
    var count = 0;
    this.shown.forEach(function (one) { count += one.node.length; });
    while (count > MOST_SHOWN && this.shown.length > 1) {
      var first = this.shown.shift();
      count -= first.node.length;
      first.node.remove();
    }
  };

  Log.prototype.offerEarlier = function () {
    // Not by `hidden`, which bootstrap's buttons overrule.
    this.earlier.style.display = this.shown.length && this.shown[0].start ? "" : "none";
  };

  Log.prototype.showEarlier = function () {
    var first = this.shown[0];
    var before = document.documentElement.scrollHeight;
    this.earlier.disabled = true;
    this.ask({before: first.start, place: this.place}).then(function (look) {
      if (look.trouble) return this.tell([look.trouble]);
      // It may have been thrown away meanwhile.
      if (this.shown[0] !== first) return;
      var node = this.code.insertBefore(document.createTextNode(look.text), first.node);
      this.shown.unshift({start: look.start, node: node, isCut: look.within_line});
      this.tell([]);
      window.scrollBy(0, document.documentElement.scrollHeight - before);
    }.bind(this)).catch(function (error) {
      this.tell([error.message]);
    }.bind(this)).then(function () {
      this.earlier.disabled = false;
      this.offerEarlier();
    }.bind(this));
  };

  // Each try's log is asked for when it is first looked at.
  logs.querySelectorAll("[data-page]").forEach(function (pane) {
    var log = new Log(pane);
    if (pane.classList.contains("active")) log.follow();
    var tab = document.querySelector('a[href="#' + pane.id + '"]');
    tab.addEventListener("click", log.follow.bind(log));
  });
})();
