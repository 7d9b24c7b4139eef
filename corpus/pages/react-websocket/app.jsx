// A view with a feed, which the user leaves and enters again while the server restarts.
import { useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import Websocket from "react-websocket";

function App() {
  const [isShown, setShown] = useState(true);
  const feed = useRef(null);
  const url = `ws://${location.host}/feed`;
  return (
    <>
      <button id="restart" onClick={() => feed.current.state.ws.send("restart")}>
        server restarts
      </button>
      <button id="toggle" onClick={() => setShown(!isShown)}>
        feed
      </button>
      {isShown && (
        <Websocket ref={feed} url={url} onMessage={() => {}} reconnect reconnectIntervalInMilliSeconds={4000} />
      )}
    </>
  );
}

createRoot(document.getElementById("app")).render(<App />);
