// The log of a job, which the user hides and shows again: the documented use of LazyLog with an event stream.
import { LazyLog } from "@melloware/react-logviewer";
import { useState } from "react";
import { createRoot } from "react-dom/client";

function Job() {
  const [isShown, setShown] = useState(true);
  return (
    <div style={{ height: 400 }}>
      <button id="toggle" onClick={() => setShown(!isShown)}>
        log
      </button>
      {isShown && <LazyLog url="/jobs/1/log" eventsource eventsourceOptions={{ reconnect: true }} follow />}
    </div>
  );
}

createRoot(document.getElementById("app")).render(<Job />);
