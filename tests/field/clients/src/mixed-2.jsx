// a chat widget beside Pusher with three channels
import { chat, pusher } from "./Links.js";

chat();
const one = pusher();
for (const name of ["yard", "ramp", "private"]) one.subscribe(name).bind("moved", () => {});
