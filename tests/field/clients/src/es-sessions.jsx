import { show } from "./Views.jsx";

const id = () => crypto.randomUUID();

document.addEventListener("DOMContentLoaded", () => new EventSource(`/events?viewerSessionId=${id()}`));

function Meter() {
  return <button id="meter" onClick={() => new EventSource(`/events?viewerSessionId=${id()}`)}>meter</button>;
}

show(<Meter />);
