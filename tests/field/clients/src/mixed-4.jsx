// two streams of different kinds, hot reload, and one application socket
import { analytics, hotReload, plain } from "./Links.js";

hotReload();
analytics();
new EventSource("/events/news").addEventListener("moved", () => {});
plain("app").onmessage = () => {};
