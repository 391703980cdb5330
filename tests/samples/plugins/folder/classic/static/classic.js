function markClassic(element) {
  element.setAttribute("title", "marked by a plugin");
}
