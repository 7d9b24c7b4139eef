// The same connection held by a worker (kind=dedicated or shared): found, and attributed to the page that started it.

import { Panel } from "../components/views";
import { show } from "../show";

const asked = new URLSearchParams(location.search);
const script = `./worker-script.js${location.search}`;

if (asked.get("kind") === "shared") new SharedWorker(script, { type: "module" }).port.start();
else new Worker(script, { type: "module" });

show(<Panel title="In a worker" isConnected={true} />);
