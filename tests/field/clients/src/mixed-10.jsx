// a chat widget in a frame, hot reload, and the application's GraphQL client; the frame has an endpoint of its own
import { graphql, hotReload, sink } from "./Links.js";

hotReload();
graphql().subscribe({ query: "subscription { moved }" }, sink);
const frame = document.createElement("iframe");
frame.srcdoc = `<script>new WebSocket("ws://${location.host}/ws/widget")<\/script>`;
document.body.append(frame);
