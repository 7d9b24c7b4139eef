// A feed whose room the user changes: the URL of useWebSocket is state.
import { useWebSocket } from "ahooks";
import { useState } from "react";
import { createRoot } from "react-dom/client";

function Feed() {
  const [room, setRoom] = useState("one");
  const { readyState } = useWebSocket(`ws://${location.host}/feed?room=${room}`, { reconnectInterval: 500 });
  return (
    <>
      <button id="other" onClick={() => setRoom("two")}>
        other room
      </button>
      <p>
        {room}: {readyState}
      </p>
    </>
  );
}

createRoot(document.getElementById("app")).render(<Feed />);
