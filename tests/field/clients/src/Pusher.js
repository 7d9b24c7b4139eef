import Pusher from "pusher-js";

export const options = { wsHost: location.hostname, wsPort: location.port, forceTLS: false, enabledTransports: ["ws"], cluster: "none", enableStats: false };
export { Pusher };
