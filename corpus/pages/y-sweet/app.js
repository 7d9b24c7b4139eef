// A document that the user closes and opens again: each opening has a provider, which the closing destroys.
import { createYjsProvider } from "@y-sweet/client";
import * as Y from "yjs";

const authorise = async () => ({ url: `ws://${location.host}/d/minutes/ws`, baseUrl: location.origin, docId: "minutes" });
const open = () => createYjsProvider(new Y.Doc(), "minutes", authorise, { showDebuggerLink: false });

let provider = open();
const button = document.createElement("button");
Object.assign(button, { id: "again", textContent: "close and open again" });
button.onclick = () => {
  provider.destroy();
  provider = open();
};
document.getElementById("app").append(button);
