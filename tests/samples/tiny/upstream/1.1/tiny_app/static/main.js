document.title = "tiny";
