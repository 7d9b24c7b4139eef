// A document that is shared through a server which has not answered yet. The browser says `online` when the computer
// joins another network; the button does that.
import { HocuspocusProvider } from "@hocuspocus/provider";
import * as Y from "yjs";

const provider = new HocuspocusProvider({
  url: `ws://${location.host}/collaboration`,
  name: "minutes",
  document: new Y.Doc(),
});
const button = document.createElement("button");
button.id = "network";
button.textContent = "other network";
button.onclick = () => window.dispatchEvent(new Event("online"));
document.getElementById("app").append(button);
provider.on("status", ({ status }) => (document.title = status));
