// a channel that is left and joined again, SockJS, and a stream read by fetch
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { pusher, sockjs } from "./Links.js";

const one = pusher();
one.subscribe("yard");
setInterval(() => { one.unsubscribe("yard"); one.subscribe("yard"); }, 1200);
sockjs();
fetchEventSource("/events/report", {});
