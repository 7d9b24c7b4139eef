// Links of several kinds, as pages have them beside each other
import { createClient } from "graphql-ws";
import ReconnectingWebSocket from "reconnecting-websocket";
import SockJS from "sockjs-client";
import { Pusher, options } from "./Pusher.js";

const ws = `ws://${location.host}`;
export const hotReload = () => new WebSocket(`${ws}/hmr`, "vite-hmr");
export const analytics = () => new EventSource("/events/analytics");
export const chat = () => new ReconnectingWebSocket(`${ws}/ws/chat`);
export const graphql = () => createClient({ url: `${ws}/graphql`, lazy: false });
export const pusher = () => new Pusher("depot-key", options);
export const sockjs = () => new SockJS(`http://${location.host}/sock`);
export const plain = (name) => new WebSocket(`${ws}/ws/${name}`);
export const sink = { next() {}, error() {}, complete() {} };
