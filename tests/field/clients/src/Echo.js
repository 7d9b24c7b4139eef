import Echo from "laravel-echo";
import { Pusher, options } from "./Pusher.js";

export const settings = { broadcaster: "pusher", key: "depot-key", Pusher, ...options };
export { Echo };
