import { host, show } from "./Views.jsx";

const connect = () => new WebSocket(`ws://${host}/live?session_id=${crypto.randomUUID()}`);

function restore() {
  connect();
}

function start() {
  connect();
}

restore();
show(<button id="start" onClick={start}>start</button>);
